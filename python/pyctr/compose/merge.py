"""One tree over another, key by key (compose-spec, "Merge").

Mappings merge, lists are appended, scalars are replaced, but for the keys named here; then doubles of a list are removed by
what identifies an item of that list, the later one taking the earlier one's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError, Path, Places, dotted
from pyctr.compose.rules import Rules, State
from pyctr.compose.scalars import go_text

if TYPE_CHECKING:
    from collections.abc import Callable

_Merger = "Callable[[Any, Any, Path, State], Any]"


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """The merge of two files' trees. Raises ComposeError where kinds do not match."""
    result: dict[str, Any] = _merge(base, over, (), _MERGERS.start)
    return result


def merge_service(base: dict[str, Any], over: dict[str, Any], name: str) -> dict[str, Any]:
    """The merge of a service over the one it extends."""
    state = _MERGERS.step(_MERGERS.step(_MERGERS.start, "services"), name)
    result: dict[str, Any] = _merge(base, over, ("services", name), state)
    return result


def _merge(base: Any, over: Any, path: Path, state: State) -> Any:
    merger = _MERGERS.at(state)
    if merger is not None:
        return merger(base, over, path, state)
    if over is None:
        return base
    if isinstance(base, dict):
        if not isinstance(over, dict):
            raise ComposeError(f"cannot override {dotted(path)}")
        return _mappings(base, over, path, state)
    if isinstance(base, list):
        if not isinstance(over, list):
            raise ComposeError(f"cannot override {dotted(path)}")
        return [*base, *over]
    return over


def _mappings(base: dict[str, Any], over: dict[str, Any], path: Path, state: State) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if key in merged:
            merged[key] = _merge(merged[key], value, (*path, key), _MERGERS.step(state, key))
        else:
            merged[key] = value
    return merged


def _replace(base: Any, over: Any, path: Path, state: State) -> Any:  # noqa: ARG001
    return over


def _sequence(base: Any, over: Any, path: Path, state: State) -> Any:  # noqa: ARG001
    return [*as_sequence(base), *as_sequence(over)]


def _logging(base: Any, over: Any, path: Path, state: State) -> Any:
    """Options belong to one driver: another driver starts anew."""
    if over is None or base is None:
        return base if over is None else over
    drivers = base.get("driver"), over.get("driver")
    if drivers[0] == drivers[1] or None in drivers:
        return _mappings(base, over, path, state)
    return over


def _build(base: Any, over: Any, path: Path, state: State) -> Any:
    def long(value: Any) -> dict[str, Any]:
        return {"context": value} if isinstance(value, str) else value or {}

    return _mappings(long(base), long(over), path, state)


def _named(default: dict[str, Any] | None) -> Any:
    """Lists of names that are mappings in their long form."""

    def merger(base: Any, over: Any, path: Path, state: State) -> Any:
        def long(value: Any) -> dict[str, Any]:
            if isinstance(value, list):
                return {name: dict(default) if default else None for name in value}
            return value or {}

        return _mappings(long(base), long(over), path, state)

    return merger


def _ipam(base: Any, over: Any, path: Path, state: State) -> Any:
    """Pools are the same where their subnet is."""
    pools: list[dict[str, Any]] = [dict(pool) for pool in base or []]
    for pool in over or []:
        same = next((each for each in pools if each.get("subnet") == pool.get("subnet")), None)
        if same is None:
            pools.append(pool)
        else:
            pools[pools.index(same)] = _mappings(same, pool, path, state)
    return pools


def as_sequence(value: Any) -> list[Any]:
    """``KEY=value`` strings of a mapping, sorted; a list as it is; a word as a list of one."""
    if isinstance(value, dict):
        items: list[str] = []
        for key, each in value.items():
            if isinstance(each, list):
                items += [f"{key}={go_text(one)}" for one in each]
            else:
                items.append(key if each is None else f"{key}={go_text(each)}")
        return sorted(items)
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def _ulimit(base: Any, over: Any, path: Path, state: State) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return _mappings(base, over, path, state)
    return over


_STARTED = {"condition": "service_started", "required": True}
_MERGERS: Rules[Callable[[Any, Any, Path, State], Any]] = Rules(
    {
        "networks.*.ipam.config": _ipam,
        "networks.*.labels": _sequence,
        "volumes.*.labels": _sequence,
        "services.*.build": _build,
        "services.*.command": _replace,
        "services.*.depends_on": _named(_STARTED),
        "services.*.entrypoint": _replace,
        "services.*.healthcheck.test": _replace,
        "services.*.logging": _logging,
        "services.*.models": _named(None),
        "services.*.networks": _named(None),
        "services.*.provider.options": _sequence,
        "services.*.ulimits.*": _ulimit,
        **{
            f"services.*.{key}": _sequence
            for key in (
                "annotations", "build.args", "build.additional_contexts", "build.extra_hosts", "build.labels",
                "deploy.labels", "dns", "dns_opt", "dns_search", "env_file", "environment", "extra_hosts", "label_file",
                "labels", "sysctls", "tmpfs",
            )
        },
    }
)  # fmt: skip


def unique(tree: dict[str, Any], places: Places) -> dict[str, Any]:
    """The tree with the doubles of its lists removed."""

    def walk(value: Any, path: Path, state: State) -> Any:
        if isinstance(value, dict):
            return {key: walk(each, (*path, key), _KEYS.step(state, key)) for key, each in value.items()}
        key_of = _KEYS.at(state) if isinstance(value, list) else None
        if key_of is None:
            return value
        items: dict[str, Any] = {}
        for index, item in enumerate(value):
            try:
                items[key_of(item)] = item
            except KeyError as error:
                raise places.error((*path, index), f"{dotted((*path, index))} lacks {error.args[0]}") from None
            except (TypeError, AttributeError):
                raise places.error((*path, index), f"{dotted((*path, index))}: unexpected value {item!r}") from None
            except ValueError as error:
                raise places.error((*path, index), f"{dotted((*path, index))}: {error}") from None
        return list(items.values())

    result: dict[str, Any] = walk(tree, (), _KEYS.start)
    return result


def _word(item: Any) -> str:
    text: str = item.split("=", 1)[0]
    return text


def _target(item: Any) -> str:
    from pyctr.compose.shorthand import volume

    if isinstance(item, str):
        item = volume(item)
    return str(item["target"])


def _device(item: Any) -> str:
    if isinstance(item, str):
        parts = item.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    return str(item["target"] if "target" in item else item["source"])


def _mounted(default: str) -> Callable[[Any], str]:
    def key_of(item: Any) -> str:
        if isinstance(item, str):
            return f"{default}/{item}"
        return str(item.get("target") or f"{default}/{item['source']}")

    return key_of


def _port(item: Any) -> str:
    if isinstance(item, dict):
        published = item.get("published", "")
        host, protocol = item.get("host_ip", "0.0.0.0"), item.get("protocol", "tcp")  # noqa: S104
        return f"{host}:{published}:{item['target']}/{protocol}"
    return str(item)


def _file(item: Any) -> str:
    return str(item["path"]) if isinstance(item, dict) else str(item)


_WORD_LISTS = (
    "annotations build.args build.additional_contexts build.platform build.tags build.labels cap_add cap_drop deploy.labels"
    " dns dns_opt dns_search environment label_file labels links networks.*.aliases networks.*.link_local_ips profiles sysctls tmpfs"
)
_KEYS: Rules[Callable[[Any], str]] = Rules(
    {
        "networks.*.labels": _word,
        "networks.*.ipam.options": _word,
        "volumes.*.labels": _word,
        "services.*.devices": _device,
        "services.*.configs": _mounted(""),
        "services.*.secrets": _mounted("/run/secrets"),
        "services.*.env_file": _file,
        "services.*.expose": str,
        "services.*.ports": _port,
        "services.*.volumes": _target,
        **{f"services.*.{key}": _word for key in _WORD_LISTS.split()},
    }
)
