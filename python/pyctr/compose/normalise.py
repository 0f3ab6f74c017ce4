"""What a model leaves implied: the default network, names with the project's prefix, defaults, depends_on, variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose import envfile
from pyctr.compose.merge import as_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyctr.compose.errors import ComposeError, Places

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def normalise(tree: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """The tree with everything implied in it; the tree itself is left alone."""
    result = dict(tree)
    services = {name: _service(dict(each or {}), variables) for name, each in (tree.get("services") or {}).items()}
    networks = dict(tree.get("networks") or {})
    for service in services.values():
        if "network_mode" in service or service.get("provider") is not None:
            continue
        if not service.get("networks"):
            service["networks"] = {"default": None}
        if "default" in service["networks"]:
            networks.setdefault("default", None)
    if "services" in tree:
        result["services"] = services
    if networks:
        result["networks"] = networks
    for kind in ("networks", "volumes", "configs", "secrets"):
        if result.get(kind):
            result[kind] = {key: _named(key, each, tree["name"]) for key, each in result[kind].items()}
    return result


def _named(key: str, resource: dict[str, Any] | None, project: str) -> dict[str, Any]:
    resource = dict(resource or {})
    if not resource.get("name"):
        resource["name"] = key if resource.get("external") else f"{project}_{key}"
    return resource


def _service(service: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    if service.get("build") is not None:
        build = dict(service["build"])
        if not build.get("dockerfile_inline") and not build.get("dockerfile"):
            build["dockerfile"] = "Dockerfile"
        if build.get("args") is not None:
            build["args"] = _resolved(build["args"], variables, keep=False)
        service["build"] = build
    if service.get("environment") is not None:
        service["environment"] = _resolved(service["environment"], variables, keep=True)
    implied = {**_implied(service), **(service.get("depends_on") or {})}
    if implied:
        service["depends_on"] = implied
    return service


def _implied(service: Mapping[str, Any]) -> dict[str, Any]:
    """Dependencies that other keys mean."""
    names: dict[str, bool] = {}
    for link in service.get("links") or ():
        names[link.partition(":")[0]] = True
    for key in _NAMESPACES:
        value = service.get(key)
        if isinstance(value, str) and value.startswith("service:"):
            names[value.removeprefix("service:")] = True
    for source in service.get("volumes_from") or ():
        if not source.startswith("container:"):
            names.setdefault(source.partition(":")[0], False)
    return {
        name: {"condition": "service_started", "required": True, **({"restart": True} if restart else {})}
        for name, restart in names.items()
    }


def _resolved(value: Any, variables: Mapping[str, str], *, keep: bool) -> Any:
    """Names without a value get the variable's; those that have none stay only where ``keep`` says so."""
    if isinstance(value, dict):
        filled = {key: variables.get(key) if each is None else each for key, each in value.items()}
        return filled if keep else {key: each for key, each in filled.items() if each is not None}
    result = []
    for item in value:
        if "=" in item:
            result.append(item)
        elif item in variables:
            result.append(f"{item}={variables[item]}")
        elif keep:
            result.append(item)
    return result


def resolve_environment(model: dict[str, Any], variables: Mapping[str, str], places: Places) -> dict[str, Any]:
    """The model whose services have their env files read into them."""
    return _each_service(model, places, lambda name, service: _with_environment(name, service, variables, places))


def resolve_labels(model: dict[str, Any], places: Places) -> dict[str, Any]:
    """The model whose services have their label files read into them."""
    return _each_service(model, places, lambda name, service: _with_labels(name, service, places))


def without_files(model: dict[str, Any]) -> dict[str, Any]:
    """The model without the env files, which have been read."""
    services = model["services"]
    kept = {name: {key: value for key, value in each.items() if key != "env_file"} for name, each in services.items()}
    return {**model, "services": type(services)(kept)}


def _each_service(
    model: dict[str, Any], places: Places, change: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    from pyctr.compose.shape import shape_service

    services = model["services"]
    result = type(services)()
    for name, service in services.items():
        changed = change(name, service)
        result[name] = service if changed is service else shape_service(changed, places, ("services", name))
    return {**model, "services": result}


def _with_environment(
    name: str, service: dict[str, Any], variables: Mapping[str, str], places: Places
) -> dict[str, Any]:
    files = service.get("env_file")
    if not files:
        return service
    own = service.get("environment") or {}
    found: dict[str, str] = {}
    # What the service and the project say wins inside values too, over the file itself, over earlier files.
    outer = {**variables, **{key: each for key, each in own.items() if each is not None}}
    for each in files:
        file = {"path": each} if isinstance(each, str) else each
        found |= _read(name, file, (found, outer), places)
    return {**service, "environment": {**found, **own}}


def _with_labels(name: str, service: dict[str, Any], places: Places) -> dict[str, Any]:
    files = service.get("label_file")
    if not files:
        return service
    labels: dict[str, str] = {}
    for path in files:
        try:
            labels |= envfile.read(path, {})
        except OSError as error:
            raise _missing(name, "label_file", path, error, places) from error
    left = {key: value for key, value in service.items() if key != "label_file"}
    return {**left, "labels": {**labels, **(service.get("labels") or {})}}


def _read(
    name: str, file: Mapping[str, Any], scopes: tuple[Mapping[str, str], Mapping[str, str]], places: Places
) -> dict[str, str]:
    earlier, outer = scopes
    try:
        return envfile.read(file["path"], outer, earlier=earlier, raw=file.get("format") == "raw")
    except FileNotFoundError as error:
        if file.get("required", True):
            raise _missing(name, "env_file", file["path"], error, places) from error
        return {}
    except OSError as error:
        raise _missing(name, "env_file", file["path"], error, places) from error


def _missing(name: str, key: str, path: str, error: OSError, places: Places) -> ComposeError:
    what = "env file" if key == "env_file" else "label file"
    reason = "not found" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
    return places.error(("services", name, key), f"{what} {path} {reason}")


def words(value: Any) -> list[str]:
    """``KEY=value`` strings of a mapping or list."""
    return [str(each) for each in as_sequence(value)]
