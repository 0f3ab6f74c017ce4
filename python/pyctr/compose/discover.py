"""Which files, which directory, which environment, which name."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from pyctr.compose import envfile
from pyctr.compose.errors import ComposeError
from pyctr.compose.interpolate import TemplateError, substitute
from pyctr.compose.paths import refuse_remote
from pyctr.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyctr.compose.load import Loader

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip


class Found(NamedTuple):
    """What a load begins with; paths are absolute, ``-`` is standard input."""

    files: tuple[str, ...]
    directory: str
    environment: dict[str, str]


def discover(
    files: Sequence[str] | None, directory: str | None, env_files: Sequence[str], outer: Mapping[str, str]
) -> Found:
    """The files asked for, named by COMPOSE_FILE, or found here or in a directory above. Raises NotFound."""
    base = os.path.abspath(directory) if directory else None
    # COMPOSE_FILE and the like may stand in .env, which is looked for where the project is asked for.
    given = list(files or ())
    environment = _environment(env_files, base or _beside(given) or os.getcwd(), outer)
    if not given and environment.get("COMPOSE_FILE"):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        given = environment["COMPOSE_FILE"].split(separator)
    if not given:
        given = search(base or os.getcwd())
        if not given:
            raise NotFound("no configuration file provided: not found")
        if not env_files:
            environment = _environment((), base or os.path.dirname(given[0]), outer)
    for file in given:
        refuse_remote(file, file)
    absolute = tuple(file if file == "-" else os.path.abspath(file) for file in given)
    return Found(absolute, base or _beside(absolute) or os.getcwd(), environment)


def _beside(files: Sequence[str]) -> str | None:
    return next((os.path.dirname(os.path.abspath(file)) for file in files if file != "-"), None)


def search(directory: str) -> list[str]:
    """The compose file of a directory or of the nearest above it, and its override file."""
    while True:
        names = [name for name in NAMES if os.path.isfile(os.path.join(directory, name))]
        if names:
            over = [name for name in OVERRIDES if os.path.isfile(os.path.join(directory, name))]
            return [os.path.join(directory, name) for name in (*names[:1], *over[:1])]
        above = os.path.dirname(directory)
        if above == directory:
            return []
        directory = above


def _environment(env_files: Sequence[str], directory: str, outer: Mapping[str, str]) -> dict[str, str]:
    """The process's variables over those of the env files, a later file's over an earlier one's."""
    found: dict[str, str] = {}
    paths = [os.path.abspath(file) for file in env_files]
    if not paths and outer.get("COMPOSE_ENV_FILES"):
        paths = [os.path.abspath(file) for file in outer["COMPOSE_ENV_FILES"].split(",")]
    default = os.path.join(directory, ".env")
    if (
        not paths
        and outer.get("COMPOSE_DISABLE_ENV_FILE", "").lower() not in ("1", "t", "true")
        and os.path.isfile(default)
    ):
        paths = [default]
    for path in paths:
        try:
            found |= envfile.read(path, {**found, **outer})
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise ComposeError(f"couldn't find env file: {path}") from error
            raise ComposeError(f"open {path}: {(error.strerror or '').lower()}") from error
    return {**found, **outer}


def normalise_name(text: str) -> str:
    """The characters of a directory's name that a project's name may have."""
    return re.sub(r"[^-_a-z0-9]", "", text.lower()).lstrip("_-")


def project_name(asked: str | None, found: Found, loader: Loader) -> str:
    """The project's name. Raises ComposeError where it is not one."""
    name = asked or found.environment.get("COMPOSE_PROJECT_NAME") or ""
    if name:
        return valid_name(name)
    for file in found.files:
        name = _named(file, found, loader) or name
    name = normalise_name(name) or normalise_name(os.path.basename(found.directory))
    if not name:
        raise ComposeError("project name must not be empty")
    return name


def _named(file: str, found: Found, loader: Loader) -> str:
    """The `name:` of a file; what is wrong with the file is said when it is loaded."""
    name = ""
    try:
        for each in loader.documents(file):
            value = each.tree.get("name")
            name = value if isinstance(value, str) and value else name
        return substitute(name, found.environment) if loader.options.interpolate else name
    except (ComposeError, TemplateError):
        return ""


def valid_name(name: str) -> str:
    """The name, or ComposeError where a project cannot have it."""
    if name == normalise_name(name):
        return name
    raise ComposeError(
        f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, hyphens, and underscores'
        " as well as start with a letter or number"
    )
