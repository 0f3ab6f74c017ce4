"""What the schema cannot say: references that lead nowhere, keys that exclude each other, circles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import Path, Places, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def validate(tree: dict[str, Any], places: Places) -> None:
    """Checks of the merged long form. Raises ComposeError."""
    for kind in ("volumes", "networks"):
        for name, resource in (tree.get(kind) or {}).items():
            if isinstance(resource, dict):
                _external((kind, name), resource, kind, places)
    for kind, sources in (
        ("secrets", ("file", "environment", "driver")),
        ("configs", ("file", "environment", "content")),
    ):
        for name, resource in (tree.get(kind) or {}).items():
            if isinstance(resource, dict):
                _source((kind, name), resource, sources, places)
    for name, service in (tree.get("services") or {}).items():
        if isinstance(service, dict):
            _ports(("services", name, "ports"), service.get("ports") or (), places)
            _watch(("services", name, "develop", "watch"), (service.get("develop") or {}).get("watch") or (), places)
            reservations = ((service.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
            _devices(
                ("services", name, "deploy", "resources", "reservations", "devices"),
                reservations.get("devices") or (),
                places,
                needs=True,
            )
            _devices(("services", name, "gpus"), service.get("gpus") or (), places, needs=False)


def _external(path: Path, resource: Mapping[str, Any], kind: str, places: Places) -> None:
    if resource.get("external") is not True:
        return
    for key in resource:
        if key not in ("name", "external") and not key.startswith("x-") and not (kind == "networks" and key == "ipam"):
            dots = ".".join(map(str, path))
            raise places.error((*path, key), f'{dots}: conflicting parameters "external" and "{key}" specified')


def _source(path: Path, resource: Mapping[str, Any], keys: tuple[str, ...], places: Places) -> None:
    dots = ".".join(map(str, path))
    given = [key for key in keys if resource.get(key) is not None]
    if resource.get("external") is True:
        for key in (*given, "labels", "template_driver", "driver_opts"):
            if key in resource:
                raise places.error((*path, key), f'{dots}: conflicting parameters "external" and "{key}" specified')
    elif len(given) > 1:
        listed = "|".join(keys)
        raise places.error(path, f"{dots}: {listed} attributes are mutually exclusive")
    elif not given:
        listed = "|".join(keys)
        raise places.error(path, f"{dots}: one of {listed} must be set")


def _ports(path: Path, ports: Any, places: Places) -> None:
    for index, port in enumerate(ports):
        address = port.get("host_ip") if isinstance(port, dict) else None
        if address:
            import ipaddress

            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise places.error((*path, index), f"invalid ip address: {address}") from None


def _watch(path: Path, rules: Any, places: Places) -> None:
    for index, rule in enumerate(rules):
        if not rule.get("path"):
            raise places.error((*path, index), "services.develop.watch.path: value can't be blank")


def _devices(path: Path, devices: Any, places: Places, *, needs: bool) -> None:
    for index, device in enumerate(devices):
        if needs and not device.get("capabilities"):
            raise places.error((*path, index), "capabilities attribute is required")
        if device.get("count") is not None and device.get("device_ids"):
            raise places.error((*path, index), '"count" and "device_ids" attributes are exclusive')


def consistent(model: dict[str, Any], places: Places) -> None:
    """Checks of the shaped model's enabled services. Raises ComposeError."""
    services = model["services"]
    for name, service in services.items():
        for problem, key in _problems(name, service, model):
            raise places.error(("services", name, *key), problem)
    _cycles(services, places)


def dependencies(model: dict[str, Any], disabled: dict[str, Any], places: Places) -> None:
    """Every service an enabled one needs is there and enabled."""
    services = model["services"]
    for name, service in services.items():
        for other, how in (service.get("depends_on") or {}).items():
            if other in services or (other in disabled and not how.get("required", True)):
                continue
            hint = nearest(other, services) if other not in disabled else ""
            raise places.error(
                ("services", name, "depends_on", other),
                f'service "{name}" depends on undefined service "{other}"{hint}: invalid compose project',
            )
    seen: dict[str, str] = {}
    for name, service in services.items():
        own = service.get("container_name")
        if own and own in seen:
            raise places.error(
                ("services", name, "container_name"),
                f'container name "{own}" is already in use by service {seen[own]}: invalid compose project',
            )
        if own:
            seen[own] = name


def _problems(name: str, service: dict[str, Any], model: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """What is wrong with a service, and the key it is wrong at."""
    bad = ": invalid compose project"
    build = service.get("build")
    if build is None and not service.get("image") and not service.get("provider"):
        yield f'service "{name}" has neither an image nor a build context specified{bad}', ()
    if build is not None:
        yield from _build_problems(name, service, build, model)
    if service.get("network_mode") and service.get("networks"):
        yield f"service {name} declares mutually exclusive `network_mode` and `networks`{bad}", ("networks",)
    for network in service.get("networks") or ():
        if network not in (model.get("networks") or {}):
            hint = nearest(network, model.get("networks") or {})
            yield f'service "{name}" refers to undefined network {network}{hint}{bad}', ("networks", network)
    test = (service.get("healthcheck") or {}).get("test")
    if test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        yield 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"', ("healthcheck", "test")
    mode = service.get("network_mode") or ""
    if mode.startswith("service:") and mode[8:] not in model["services"]:
        yield f"service \"{mode[8:]}\" not found for network_mode 'service:{mode[8:]}'", ("network_mode",)
    yield from _reference_problems(name, service, model)
    yield from _limit_problems(name, service)
    for index, rule in enumerate((service.get("develop") or {}).get("watch") or ()):
        if not rule.get("target") and rule.get("action") not in ("rebuild", "restart"):
            yield (
                f"services.{name}.develop.watch: target is required for non-rebuild actions{bad}",
                ("develop", "watch", index),
            )


def _reference_problems(name: str, service: dict[str, Any], model: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """Names of things the project does not have."""
    bad = ": invalid compose project"
    for index, mount in enumerate(service.get("volumes") or ()):
        source = mount.get("source")
        if mount.get("type") == "volume" and source and source not in (model.get("volumes") or {}):
            hint = nearest(source, model.get("volumes") or {})
            yield f'service "{name}" refers to undefined volume {source}{hint}{bad}', ("volumes", index)
    for kind, word in (("configs", "config"), ("secrets", "secret")):
        for index, each in enumerate(service.get(kind) or ()):
            if each.get("source") not in (model.get(kind) or {}):
                hint = nearest(each.get("source", ""), model.get(kind) or {})
                yield f'service "{name}" refers to undefined {word} {each.get("source")}{hint}{bad}', (kind, index)
    for other in service.get("models") or ():
        if other not in (model.get("models") or {}):
            yield f'service "{name}" refers to undefined model {other}{bad}', ("models", other)


def _build_problems(
    name: str, service: dict[str, Any], build: dict[str, Any], model: dict[str, Any]
) -> Iterator[tuple[str, Path]]:
    bad = ": invalid compose project"
    if build.get("dockerfile_inline") and build.get("dockerfile"):
        yield f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline{bad}', ("build",)
    for add, context in (build.get("additional_contexts") or {}).items():
        if context.startswith("service:"):
            other = model["services"].get(context[8:])
            if other is None:
                yield (
                    f'service "{name}" declares unknown service "{context[8:]}" as additional contexts {add}',
                    ("build",),
                )
            elif other.get("build") is None:
                yield (
                    f'service "{name}" declares non-buildable service "{context[8:]}" as additional contexts {add}',
                    ("build",),
                )
    if build.get("platforms") and service.get("platform") and service["platform"] not in build["platforms"]:
        yield (
            f'service.build.platforms MUST include service.platform "{service["platform"]}"{bad}',
            ("build", "platforms"),
        )
    for secret in build.get("secrets") or ():
        if secret.get("source") not in (model.get("secrets") or {}):
            yield f'service "{name}" refers to undefined build secret {secret.get("source")}{bad}', ("build", "secrets")


def _limit_problems(name: str, service: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """The same limit said twice, and differently."""
    deploy = service.get("deploy")
    scale, bad = service.get("scale"), ": invalid compose project"
    replicas = (deploy or {}).get("replicas")
    if scale is not None and replicas is not None and scale != replicas:
        yield f"services.{name}: can't set distinct values on 'scale' and 'deploy.replicas'{bad}", ("scale",)
    resources = (deploy or {}).get("resources") or {}
    for key, part, other in (
        ("cpus", "limits", "cpus"), ("mem_limit", "limits", "memory"), ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ):  # fmt: skip
        own, theirs = service.get(key), resources.get(part)
        if own and theirs is not None and own != theirs.get(other, 0):
            yield (
                f"services.{name}: can't set distinct values on '{key}' and 'deploy.resources.{part}.{other}'{bad}",
                (key,),
            )
    count = scale if scale is not None else replicas if replicas is not None else 1
    if count > 1 and service.get("container_name"):
        attribute = "deploy.replicas" if scale is None else "scale"
        yield (
            f"services.{name}: can't set container_name and {attribute} as container name must be unique{bad}",
            ("container_name",),
        )


def _cycles(services: Mapping[str, Any], places: Places) -> None:
    done: set[str] = set()
    for start in services:
        trail: list[str] = []
        _visit(start, services, trail, done, places)


def _visit(start: str, services: Mapping[str, Any], trail: list[str], done: set[str], places: Places) -> None:
    """Depth first without recursion: a chain may be as long as the file."""
    stack: list[tuple[str, Iterator[str]]] = [(start, iter(services[start].get("depends_on") or ()))]
    trail.append(start)
    on_trail = {start}
    while stack:
        name, others = stack[-1]
        other = next(others, None)
        if other is None:
            stack.pop()
            trail.pop()
            on_trail.discard(name)
            done.add(name)
        elif other in on_trail:
            circle = [*trail[trail.index(other) :], other]
            raise places.error(
                ("services", name, "depends_on"),
                f"dependency cycle detected: {' -> '.join(circle)}",
            )
        elif other in services and other not in done:
            stack.append((other, iter(services[other].get("depends_on") or ())))
            trail.append(other)
            on_trail.add(other)
