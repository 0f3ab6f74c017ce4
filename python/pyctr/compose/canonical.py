"""Short forms to long forms, for the keys that have both and whose merge or checks need the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose import shorthand
from pyctr.compose.errors import ComposeError, Path, Places, dotted
from pyctr.compose.rules import Rules, State

if TYPE_CHECKING:
    from collections.abc import Callable


def canonical(tree: dict[str, Any], places: Places, *, lenient: bool = False) -> dict[str, Any]:
    """The tree with long forms; ``lenient`` leaves what it cannot read. Raises ComposeError."""

    def walk(value: Any, path: Path, state: State) -> Any:
        rule = _RULES.at(state)
        if rule is not None:
            try:
                value = rule(value)
            except ComposeError:
                raise
            except ValueError as error:
                if lenient:
                    return value
                raise places.error(path, f"{dotted(path)}: {error}") from error
        if isinstance(value, dict):
            return {key: walk(each, (*path, key), _RULES.step(state, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, (*path, index), _RULES.step(state, "[]")) for index, each in enumerate(value)]
        return value

    result: dict[str, Any] = walk(tree, (), _RULES.start)
    return result


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _build(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _contexts(value: Any) -> Any:
    pairs = (item.partition("=") for item in value) if isinstance(value, list) else ()
    return {name: where for name, _, where in pairs} if isinstance(value, list) else value


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _depends_on(value: Any) -> Any:
    if isinstance(value, list):
        return {name: {"condition": "service_started", "required": True} for name in value}
    if isinstance(value, dict):
        return {
            name: each if not isinstance(each, dict) or "required" in each else {**each, "required": True}
            for name, each in value.items()
        }
    return value


def _env_file(value: Any) -> Any:
    files = _list(value)
    if not isinstance(files, list):
        return value
    return [{"path": file, "required": True} if isinstance(file, str) else {"required": True, **file} for file in files]


def _extends(value: Any) -> Any:
    return {"service": value} if isinstance(value, str) else value


def _names(value: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, list) else value


def _volume(value: Any) -> Any:
    if isinstance(value, str):
        value = shorthand.volume(value)
    elif isinstance(value, dict) and value.get("type") == "bind" and value.get("bind") is None:
        value = {key: each for key, each in value.items() if key != "bind"}
    if isinstance(value, dict) and isinstance(value.get("target"), str):
        value = {**value, "target": _clean(value["target"])}
    return value


def _clean(path: str) -> str:
    """A mount's target without doubled or trailing slashes."""
    import posixpath

    if not path:
        return path
    return posixpath.normpath(path).replace("//", "/", 1) if path.startswith("//") else posixpath.normpath(path)


def _device(value: Any) -> Any:
    return shorthand.device(value) if isinstance(value, str) else value


def _mounted(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _ports(value: Any) -> Any:
    result: list[Any] = []
    for port in value or []:
        if isinstance(port, dict):
            result.append(port)
        else:
            result += shorthand.ports(str(port))
    return result


def _gpus(value: Any) -> Any:
    return [{"count": "all"}] if value == "all" else value


def _ssh(value: Any) -> Any:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        pairs = (item.partition("=") for item in value)
        return {name: path if equals else None for name, equals, path in pairs}
    return value


def _external(value: Any) -> Any:
    """``external: {name: x}`` is ``external: true`` and ``name: x``."""
    if not isinstance(value, dict) or not isinstance(value.get("external"), dict):
        return value
    name = value["external"].get("name")
    if name and value.get("name") and value["name"] != name:
        raise ValueError("name and external.name conflict; only use name")
    return {**value, "external": True, **({"name": name} if name else {})}


def _include(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


_RULES: Rules[Callable[[Any], Any]] = Rules(
    {
        "services.*.build": _build,
        "services.*.build.additional_contexts": _contexts,
        "services.*.build.provenance": _word,
        "services.*.build.sbom": _word,
        "services.*.build.secrets.[]": _mounted,
        "services.*.build.ssh": _ssh,
        "services.*.configs.[]": _mounted,
        "services.*.depends_on": _depends_on,
        "services.*.devices.[]": _device,
        "services.*.dns": _list,
        "services.*.env_file": _env_file,
        "services.*.extends": _extends,
        "services.*.gpus": _gpus,
        "services.*.label_file": _list,
        "services.*.models": _names,
        "services.*.networks": _names,
        "services.*.ports": _ports,
        "services.*.secrets.[]": _mounted,
        "services.*.volumes.[]": _volume,
        "volumes.*": _external,
        "networks.*": _external,
        "secrets.*": _external,
        "configs.*": _external,
        "include.[]": _include,
    }
)
