"""From files to a Project: the steps of docs/compose.md in their order."""

from __future__ import annotations

import copy
import functools
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr.compose import check, discover, document, normalise
from pyctr.compose import profiles as profile
from pyctr.compose.canonical import canonical
from pyctr.compose.defaults import defaults
from pyctr.compose.errors import ComposeError, Path, Places
from pyctr.compose.extends import Extends, drop
from pyctr.compose.include import included_resources
from pyctr.compose.interpolate import interpolate
from pyctr.compose.merge import merge, unique
from pyctr.compose.paths import resolve_paths
from pyctr.compose.schema import validate
from pyctr.compose.shape import plain_project, shape_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


_OBSOLETE = "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"


class Options(NamedTuple):
    """What of loading to leave out (`config --no-…`)."""

    interpolate: bool = True
    normalise: bool = True
    resolve_paths: bool = True
    consistency: bool = True
    resolve_environment: bool = True


class Project(NamedTuple):
    """A loaded project (docs/compose.md, "The border")."""

    name: str
    working_dir: str
    files: tuple[str, ...]
    environment: dict[str, str]
    profiles: tuple[str, ...]
    model: dict[str, Any]
    disabled: dict[str, Any]
    warnings: tuple[str, ...] = ()
    #: Between the parts of names of containers and images; `_` with ``--compatibility``.
    separator: str = "-"
    #: The same files read with further profiles: what those services need was not kept.
    again: Callable[[Sequence[str]], Project] | None = None

    @property
    def services(self) -> dict[str, Any]:
        """The enabled services by name."""
        services: dict[str, Any] = self.model["services"]
        return services


class Loader:
    """One load: what is known while files are read. `known_dir`: where marks of what the schema allowed are kept."""

    __slots__ = ("known_dir", "options", "parsed", "places", "stdin", "warnings")

    def __init__(self, options: Options, stdin: Callable[[], bytes], *, known_dir: str | None = None) -> None:
        self.options = options
        self.stdin = stdin
        self.known_dir = known_dir
        self.places = Places()
        self.warnings: list[str] = []
        self.parsed: dict[str, tuple[document.Document, ...]] = {}

    def unset(self, name: str) -> None:
        """Note once that a variable has no value."""
        self.warn(f'The "{name}" variable is not set. Defaulting to a blank string.')

    def warn(self, message: str) -> None:
        """Keep a message for the user, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def read(self, file: str) -> bytes:
        """A file's bytes; ``-`` is standard input."""
        if file == "-":
            return self.stdin()
        try:
            with open(file, "rb") as opened:
                return opened.read(document.MAX_BYTES + 1)
        except OSError as error:
            raise ComposeError(f"open {file}: {(error.strerror or '').lower()}") from error

    def documents(self, file: str) -> tuple[document.Document, ...]:
        """The documents of a file, as they are written; parsed once however often they are asked for."""
        if file not in self.parsed:
            self.parsed[file] = tuple(document.parse(self.read(file), file, self.places))
        return self.parsed[file]

    def trees(self, file: str, variables: Mapping[str, str]) -> Iterable[tuple[dict[str, Any], tuple[Path, ...]]]:
        """The documents of a file, interpolated."""
        for each in self.documents(file):
            if self.options.interpolate:
                tree = interpolate(each.tree, variables, self.places, self.unset)
            else:
                tree = copy.deepcopy(each.tree)
            yield tree, each.resets

    def base(self, variables: Mapping[str, str]) -> Callable[[str], tuple[dict[str, Any], tuple[Path, ...]]]:
        """How `extends` reads another file."""

        def reader(file: str) -> tuple[dict[str, Any], tuple[Path, ...]]:
            merged: dict[str, Any] = {}
            resets: tuple[Path, ...] = ()
            for tree, more in self.trees(file, variables):
                held = _hold_extends(tree)
                merged = unique(canonical(unique(merge(merged, tree), self.places), self.places), self.places)
                for name, extends in held.items():
                    merged["services"][name]["extends"] = extends
                resets += more
            return merged, resets

        return reader

    def model(
        self, files: Sequence[str], directory: str, variables: Mapping[str, str], trail: tuple[str, ...]
    ) -> dict[str, Any]:
        """The merged long form of several files, includes done, paths absolute."""
        merged: dict[str, Any] = {}
        extends = Extends(self.base(variables), self.places)
        for file in files:
            below = directory if file == "-" else os.path.dirname(file)
            for tree, resets in self.trees(file, variables):
                own = extends.apply(_not_null(tree), file, below, resets)
                for path in resets:
                    drop(merged, path)
                if own.get("include"):
                    found = included_resources(self, own["include"], directory, variables, (*trail, file))
                    own = _with_included(own, found, resets, self.places)
                if "version" in own:
                    self.warn(f"{file}: {_OBSOLETE}")
                merged = unique(merge(merged, own), self.places)
                validate(merged, self.places, known_dir=self.known_dir)
                merged = unique(canonical(merged, self.places, lenient=not self.options.interpolate), self.places)
        merged.pop("include", None)
        merged.pop("version", None)
        check.validate(merged, self.places)
        merged = defaults(merged)
        return resolve_paths(merged, directory, self.places) if self.options.resolve_paths else merged


def _hold_extends(tree: dict[str, Any]) -> dict[str, Any]:
    """Take `extends` out of a tree's services: it is followed, never merged."""
    services = tree.get("services")
    if not isinstance(services, dict):
        return {}
    return {
        name: each.pop("extends") for name, each in services.items() if isinstance(each, dict) and "extends" in each
    }


def _not_null(tree: dict[str, Any]) -> dict[str, Any]:
    """Volumes, networks… whose body is empty are there all the same."""
    return {
        key: value
        for key, value in tree.items()
        if value is not None or key not in ("networks", "volumes", "secrets", "configs", "include", "models")
    }


def _with_included(
    tree: dict[str, Any], found: dict[str, Any], resets: tuple[Path, ...], places: Places
) -> dict[str, Any]:
    """The file's own resources over those of its includes, which it may not name again differently."""
    for path in resets:
        drop(found, path)
    result = {key: value for key, value in tree.items() if key != "include"}
    for kind, resources in found.items():
        own = result.get(kind) or {}
        for name in resources:
            if name in own and own[name] != resources[name]:
                raise places.error((kind, name), f"{kind}.{name} conflicts with imported resource")
        result[kind] = {**resources, **own}
    return result


def load(
    files: Sequence[str] | None = None,
    *,
    project_directory: str | None = None,
    project_name: str | None = None,
    env_files: Sequence[str] = (),
    profiles: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stdin: Callable[[], bytes] | None = None,
    all_resources: bool = False,
    options: Options | None = None,
    known_dir: str | None = None,
) -> Project:
    """Read a project. Raises ComposeError (no file: NotFound), whose message has file and line.

    In `known_dir` marks are kept, so that what the schema allowed once is not checked again.
    """
    options = options or Options()
    stdin = functools.cache(stdin or sys.stdin.buffer.read)
    loader = Loader(options, stdin, known_dir=known_dir)
    found = discover.discover(files, project_directory, env_files, os.environ if environment is None else environment)
    name = discover.project_name(project_name, found, loader)
    variables = {**found.environment, "COMPOSE_PROJECT_NAME": name}
    tree = loader.model(found.files, found.directory, variables, ())
    if not tree:
        raise ComposeError("empty compose file")
    tree["name"] = name
    if options.normalise:
        tree = normalise.normalise(tree, variables)
    if not options.interpolate:
        plain = plain_project(tree)
        return Project(name, found.directory, found.files, variables, (), plain, {}, tuple(loader.warnings))
    model = shape_project(tree, loader.places)
    active = tuple(profiles) or profile.from_environment(found.environment)
    model, disabled = profile.split(model, active)
    if options.consistency:
        check.dependencies(model, disabled, loader.places)
        check.consistent(model, loader.places)
    model = normalise.resolve_labels(model, loader.places)
    if options.resolve_environment:
        model = normalise.without_files(normalise.resolve_environment(model, variables, loader.places))
    if not all_resources:
        model = profile.used_resources(model)

    def again(more: Sequence[str]) -> Project:
        return load(
            files,
            project_directory=project_directory,
            project_name=project_name,
            env_files=env_files,
            profiles=[*active, *more],
            environment=environment,
            stdin=stdin,
            all_resources=all_resources,
            options=options,
            known_dir=known_dir,
        )

    said = tuple(loader.warnings)
    return Project(name, found.directory, found.files, variables, active, model, disabled, said, again=again)
