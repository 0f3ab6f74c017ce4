"""`volumes`, `volumes_from`: what a service mounts, as options of `docker run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import names
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project

    Service = Mapping[str, Any]
    Options = dict[str, Any]


def plan(options: Options, project: Project, service: Service) -> None:
    """Fill `volume`, `mount` and `volumes_from`."""
    for entry in service.get("volumes") or ():
        option, value = plan_mount(project, service["name"], entry)
        options.setdefault(option, []).append(value)
    others = [resolve_from(project, text) for text in service.get("volumes_from") or ()]
    if others:
        options["volumes_from"] = others


def resolve_from(project: Project, text: str) -> str:
    """``service[:mode]`` or ``container:name[:mode]``."""
    if text.startswith("container:"):
        return text.removeprefix("container:")
    name, colon, mode = text.partition(":")
    return names.first_container(project, name) + colon + mode


def plan_mount(project: Project, service: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """One mount: ``-v`` where Docker compose makes a bind of it, the long form otherwise."""
    kind = entry["type"]
    if kind == "volume":
        return plan_volume(project, service, entry)
    if kind == "bind":
        return plan_bind(entry)
    fields = {"type": kind, "target": entry["target"]}
    if kind == "tmpfs":
        settings = entry.get("tmpfs") or {}
        if settings.get("size"):
            fields["tmpfs-size"] = str(settings["size"])
        if settings.get("mode"):
            mode = settings["mode"]
            fields["tmpfs-mode"] = oct(mode)[2:] if isinstance(mode, int) else str(mode)
    elif entry.get("source"):
        fields["source"] = entry["source"]
    return "mount", long_form(fields, read_only=bool(entry.get("read_only")))


def plan_volume(project: Project, service: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """A named volume of the project, or an anonymous one."""
    settings = entry.get("volume") or {}
    name = ""
    if entry.get("source"):
        volume = (project.model.get("volumes") or {}).get(entry["source"])
        if volume is None:
            raise InvalidArgument(f'service "{service}" refers to undefined volume {entry["source"]}')
        name = volume["name"]
    if name and not settings.get("subpath") and not settings.get("labels") and ":" not in entry["target"]:
        words = ["ro" if entry.get("read_only") else "rw", *(["nocopy"] if settings.get("nocopy") else [])]
        return "volume", f"{name}:{entry['target']}:{','.join(words)}"
    fields = {"type": "volume", "target": entry["target"]}
    if name:
        fields["source"] = name
    if settings.get("nocopy"):
        fields["volume-nocopy"] = "true"
    if settings.get("subpath"):
        fields["volume-subpath"] = settings["subpath"]
    return "mount", long_form(fields, read_only=bool(entry.get("read_only")))


def plan_bind(entry: Mapping[str, Any]) -> tuple[str, str]:
    """A directory of the host; a missing one is made unless `create_host_path` is off."""
    settings = entry.get("bind") or {}
    plain = ":" not in entry["source"] + entry["target"] and not settings.get("recursive")
    if settings.get("create_host_path") and plain:
        words = ["ro" if entry.get("read_only") else "rw"]
        words += [settings[key] for key in ("propagation", "selinux") if settings.get(key)]
        return "volume", f"{entry['source']}:{entry['target']}:{','.join(words)}"
    fields = {"type": "bind", "source": entry["source"], "target": entry["target"]}
    if settings.get("propagation"):
        fields["bind-propagation"] = settings["propagation"]
    if settings.get("create_host_path"):
        fields["bind-create-src"] = "true"
    if settings.get("recursive"):
        fields["bind-recursive"] = settings["recursive"]
    return "mount", long_form(fields, read_only=bool(entry.get("read_only")))


def long_form(fields: Mapping[str, str], *, read_only: bool) -> str:
    """The value of ``--mount``, each field quoted where CSV asks for it."""
    parts = [f"{name}={value}" for name, value in fields.items()] + (["readonly"] if read_only else [])
    return ",".join(quote(part) for part in parts)


def quote(field: str) -> str:
    """A field of a line of CSV (RFC 4180)."""
    if "," not in field and '"' not in field:
        return field
    return '"' + field.replace('"', '""') + '"'


def inherit_volumes(options: Options, points: list[dict[str, Any]], anonymous: set[str]) -> None:
    """A container made anew keeps the anonymous volumes of the one before it: they hold its data."""
    taken = {target_of(value) for value in options.get("volume", ())}
    mounts: list[str] = options.get("mount", [])
    old = {point["Destination"]: point["Name"] for point in points if point.get("Name") in anonymous}
    for index, value in enumerate(mounts):
        fields = dict(part.partition("=")[::2] for part in value.split(","))
        taken.add(fields.get("target", ""))
        if fields.get("type") == "volume" and "source" not in fields and fields.get("target") in old:
            mounts[index] = f"{value},source={old[fields['target']]}"
    for target, name in old.items():  # those the image declares
        if target not in taken:
            options.setdefault("mount", []).append(
                long_form({"type": "volume", "source": name, "target": target}, read_only=False)
            )


def target_of(value: str) -> str:
    """Where a ``-v`` mounts."""
    parts = value.split(":")
    return parts[1] if len(parts) > 1 else parts[0]
