"""What the image adds to what was asked (moby daemon/commit.go merge)."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def merge_image(config: dict[str, Any], image: dict[str, Any]) -> None:
    """Fill Config in place from the image's ``config`` object; what was asked for wins."""
    config["User"] = config["User"] or image.get("User") or ""
    ports = {**(image.get("ExposedPorts") or {}), **(config.get("ExposedPorts") or {})}
    if ports:
        config["ExposedPorts"] = dict(sorted(ports.items()))
    given = {variable.partition("=")[0] for variable in config["Env"]}
    config["Env"] = config["Env"] + [
        variable for variable in image.get("Env") or () if variable.partition("=")[0] not in given
    ]
    config["Labels"] = dict(sorted({**(image.get("Labels") or {}), **config["Labels"]}.items()))
    if not config["Entrypoint"]:
        if not config["Cmd"]:
            config["Cmd"] = image.get("Cmd") or None
        if config["Entrypoint"] is None:
            config["Entrypoint"] = image.get("Entrypoint") or None
    if config["Entrypoint"] == [""]:
        config["Entrypoint"] = None
    merge_health(config, image.get("Healthcheck") or {})
    config["WorkingDir"] = config["WorkingDir"] or image.get("WorkingDir") or ""
    volumes = {**(image.get("Volumes") or {}), **(config["Volumes"] or {})}
    config["Volumes"] = volumes or None
    if not config.get("StopSignal") and image.get("StopSignal"):
        config["StopSignal"] = image["StopSignal"]


def merge_health(config: dict[str, Any], image: dict[str, Any]) -> None:
    """Each field of the image's health check that was not given."""
    if not image:
        return
    check = config.setdefault("Healthcheck", {})
    for field, value in image.items():
        if not check.get(field):
            check[field] = value


def split_command(config: dict[str, Any]) -> tuple[str, list[str]]:
    """Path and Args of the record: entry point, then command."""
    words = [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())]
    if not words:
        raise InvalidArgument("no command specified")
    return words[0], words[1:]
