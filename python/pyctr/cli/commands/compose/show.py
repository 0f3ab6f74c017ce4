"""`ps`, `ls`, `images`, `volumes`, `top`, `port`, `version`: what there is."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.ps import row as container_row
from pyctr.cli.human import ago, columns, size
from pyctr.compose.plan import labels
from pyctr.errors import InvalidArgument, NotFound, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project
    from pyctr.engine.containers.listing import Summary

_STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")
_ACTIVE = ("running", "paused", "restarting")
_HEADERS = {
    "Name": "NAME", "Names": "NAME", "Image": "IMAGE", "Command": "COMMAND", "Service": "SERVICE", "ID": "CONTAINER ID",
    "RunningFor": "CREATED", "CreatedAt": "CREATED AT", "Status": "STATUS", "Ports": "PORTS", "State": "STATE",
    "Project": "PROJECT", "Labels": "LABELS", "Networks": "NETWORKS", "Mounts": "MOUNTS", "Size": "SIZE",
    "LocalVolumes": "LOCAL VOLUMES", "Health": "HEALTH", "ExitCode": "EXIT CODE",
}  # fmt: skip
_SHOWN = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")


def summaries(context: ComposeContext, project_name: str) -> list[Summary]:
    """Every container of a project, by name."""
    found = context.engine.containers.list(all=True, filters={"label": [f"{labels.PROJECT}={project_name}"]})
    return sorted(found, key=lambda item: item.names[0])


def aligned(rows: Sequence[Sequence[str]], *, minimum: int, padding: int) -> str:
    """Go's tabwriter: columns of at least `minimum`, `padding` blanks behind the longest cell; the last is padded too."""
    widths = [max(minimum, *(len(row[index]) + padding for row in rows)) for index in range(len(rows[0]) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] + "\n" for row in rows
    )


# -- ps -------------------------------------------------------------------------------------------------------------


def ps(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """List containers."""
    project = context.present()
    common.check_services(project, arguments)
    check_filter(values.get("filter", ""))
    found = [item for item in summaries(context, project.name) if wanted(item, project, values, arguments)]
    if values.get("quiet"):
        sys.stdout.write("".join(f"{item.id}\n" for item in found))
        return 0
    if values.get("services"):
        names = dict.fromkeys(item.labels[labels.SERVICE] for item in found)
        sys.stdout.write("".join(f"{name}\n" for name in names))
        return 0
    rows = [row(item, project, whole=bool(values.get("no_trunc"))) for item in found]
    template = values.get("format", "table")
    if template == "table":
        cells = [[str(entry[field]) for field in _SHOWN] for entry in rows]
        sys.stdout.write(columns([_HEADERS[field] for field in _SHOWN], cells))
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, rows, _HEADERS)
    return 0


def check_filter(text: str) -> None:
    """Refuse a filter of `ps` that is none, whether or not there is something to show."""
    key, equals, _ = text.partition("=")
    if text and not equals:
        raise InvalidArgument("arguments to --filter should be in form KEY=VAL")
    if text and key not in ("status", "source"):
        raise InvalidArgument(f"unknown filter {key}")


def wanted(item: Summary, project: Project, values: dict[str, Any], services: list[str]) -> bool:
    """Whether `ps` shows a container."""
    service = item.labels.get(labels.SERVICE, "")
    states = list(values.get("status", []))
    key, _, value = values.get("filter", "").partition("=")
    if key == "status":
        states.append(value)
    for state in states:
        if state not in _STATES:
            raise InvalidArgument(f"unknown status {state}: must be one of {', '.join(_STATES)}")
    if services and service not in services:
        return False
    orphan = service not in project.services and service not in project.disabled
    if orphan and not values.get("orphans", True):
        return False
    if states:
        return item.state in states
    if values.get("all"):
        return True
    return item.state in _ACTIVE and item.labels.get(labels.ONEOFF) != "True"


def row(item: Summary, project: Project, *, whole: bool) -> dict[str, Any]:
    """What a template may ask of a container: docker's fields, and compose's."""
    fields = container_row(item, whole=whole)
    created = fields.pop("CreatedAgo")
    return fields | {
        "RunningFor": created,
        "Name": item.names[0],
        "Project": project.name,
        "Service": item.labels.get(labels.SERVICE, ""),
        "ExitCode": item.exit_code,
        "Health": "" if item.health == "none" else item.health,
        "Publishers": [
            {
                "URL": port.get("IP", ""),
                "TargetPort": port["PrivatePort"],
                "PublishedPort": port.get("PublicPort", 0),
                "Protocol": port["Type"],
            }
            for port in item.ports
        ],
    }


# -- ls, images, volumes --------------------------------------------------------------------------------------------


def ls(context: ComposeContext, values: dict[str, Any], _arguments: list[str]) -> int:
    """List projects."""
    found: dict[str, dict[str, Any]] = {}
    for item in context.engine.containers.list(all=True, filters={"label": [labels.PROJECT]}):
        if not values.get("all") and item.state not in _ACTIVE:
            continue
        project = found.setdefault(item.labels[labels.PROJECT], {"states": {}, "files": {}})
        project["states"][item.state] = project["states"].get(item.state, 0) + 1
        for path in item.labels.get(labels.CONFIG_FILES, "").split(","):
            if path:
                project["files"][path] = None
    for text in values.get("filter", ()):
        key, _, pattern = text.partition("=")
        if key != "name":
            raise InvalidArgument(f"invalid filter '{key}'")
        found = {name: project for name, project in found.items() if re.search(pattern, name)}
    names = sorted(found)
    if values.get("quiet"):
        sys.stdout.write("".join(f"{name}\n" for name in names))
        return 0
    rows = []
    for name in names:
        states = ", ".join(f"{state}({count})" for state, count in sorted(found[name]["states"].items()))
        rows.append([name, states, ",".join(found[name]["files"])])
    if form(values) == "json":
        keys = ("Name", "Status", "ConfigFiles")
        sys.stdout.write(compact([dict(zip(keys, row, strict=True)) for row in rows]))
        return 0
    sys.stdout.write(aligned([["NAME", "STATUS", "CONFIG FILES"], *rows], minimum=20, padding=3))
    return 0


def form(values: dict[str, Any]) -> str:
    """``--format`` of commands that know two."""
    found = values.get("format", "table")
    if found not in ("table", "json"):
        raise InvalidArgument(f'format value "{found}" could not be parsed: unsupported format')
    return str(found)


def compact(value: Any) -> str:
    """JSON on one line, as Go writes it."""
    return json.dumps(value, separators=(",", ":")) + "\n"


def images(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """List the images of containers."""
    project = context.present()
    common.check_services(project, arguments)
    found = [
        item
        for item in summaries(context, project.name)
        if not arguments or item.labels.get(labels.SERVICE) in arguments
    ]
    if values.get("quiet"):
        ids = dict.fromkeys(item.image_id.removeprefix("sha256:") for item in found)
        sys.stdout.write("".join(f"{image}\n" for image in ids))
        return 0
    known = {(image.id, f"{image.repository}:{image.tag}"): image for image in context.engine.images.list()}
    by_id = {image.id: image for image in context.engine.images.list()}
    rows: list[list[str]] = []
    objects: list[dict[str, Any]] = []
    for item in found:
        named = item.image if ":" in item.image.rpartition("/")[2] else f"{item.image}:latest"
        image = known.get((item.image_id, named)) or by_id.get(item.image_id)
        config = context.engine.image_store.resolve(item.image_id).config if image is not None else {}
        platform = "/".join(filter(None, (config.get("os"), config.get("architecture"), config.get("variant"))))
        repository, tag = (image.repository, image.tag) if image is not None else ("<none>", "<none>")
        bytes_, created = (image.size, image.created_s) if image is not None else (0, 0)
        short = item.image_id.removeprefix("sha256:")[:12]
        rows.append([item.names[0], repository, tag, platform, short, size(bytes_), ago(created) if created else "N/A"])
        objects.append({
            "ID": item.image_id, "ContainerName": item.names[0], "Repository": repository, "Tag": tag,
            "Platform": platform, "Size": bytes_, "LastTagTime": "", "Created": image.created if image else "",
        })  # fmt: skip
    if form(values) == "json":
        sys.stdout.write(compact(objects))
        return 0
    head = ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]
    sys.stdout.write(aligned([head, *rows], minimum=20, padding=3))
    return 0


def volumes(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """List the volumes of a project."""
    project = context.present()
    common.check_services(project, arguments)
    found = context.engine.volumes.list({"label": [f"{labels.PROJECT}={project.name}"]})
    if arguments:
        used = {
            point.get("Name")
            for item in summaries(context, project.name)
            if item.labels.get(labels.SERVICE) in arguments
            for point in item.record["Mounts"]
        }
        found = [volume for volume in found if volume["Name"] in used]
    if values.get("quiet"):
        sys.stdout.write("".join(f"{volume['Name']}\n" for volume in found))
        return 0
    template = values.get("format", "table")
    if template == "table":
        rows = [[volume["Driver"], volume["Name"]] for volume in found]
        sys.stdout.write(columns(["DRIVER", "VOLUME NAME"], rows))
        return 0
    from pyctr.cli.commands.volume import row as volume_row
    from pyctr.cli.format import print_rows

    print_rows(template, [volume_row(volume) for volume in found], {"Driver": "DRIVER", "Name": "VOLUME NAME"})
    return 0


# -- top, port, version ---------------------------------------------------------------------------------------------


def top(context: ComposeContext, _values: dict[str, Any], arguments: list[str]) -> int:
    """Show the processes of each container that runs."""
    _, found = common.chosen(context, arguments)
    rows: list[list[str]] = []
    head: list[str] = []
    for item in sorted(found, key=lambda each: (each.service, each.number)):
        if not item.is_active:
            continue
        try:
            titles, processes = context.engine.containers.top(item.id, [])
        except StateError:  # it ended, or is restarting
            continue
        head = ["SERVICE", "#", *titles]
        rows += [[item.service, str(item.number), *process] for process in processes]
    if rows:
        sys.stdout.write(aligned([head, *rows], minimum=4, padding=2))
    return 0


def port(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Show where a port is published."""
    service, text = arguments
    protocol = values.get("protocol", "tcp")
    number, slash, given = text.partition("/")
    protocol = given if slash else protocol
    private = common.integer(number, "PRIVATE_PORT")
    item = common.one_container(context, service, values)
    summary = next(each for each in summaries(context, context.present().name) if each.id == item.id)
    published = [each for each in summary.ports if each.get("PublicPort")]
    for each in published:
        if each["PrivatePort"] == private and each["Type"] == protocol:
            sys.stdout.write(f"{each['IP']}:{each['PublicPort']}\n")
            return 0
    listed = ", ".join(f"{each['PublicPort']}/{each['Type']}" for each in published)
    raise NotFound(f"no port {private}/{protocol} for container {item.name}: {listed}")


def version(_context: ComposeContext, values: dict[str, Any], _arguments: list[str]) -> int:
    """Show which compose this is, and whose file format and labels it speaks."""
    from pyctr import __version__

    if values.get("short"):
        sys.stdout.write(f"{labels.COMPOSE_VERSION}\n")
    elif values.get("format", "pretty") == "json":
        sys.stdout.write(compact({"version": f"v{labels.COMPOSE_VERSION}", "pyctr": __version__}))
    elif values.get("format", "pretty") == "pretty":
        sys.stdout.write(f"Docker Compose version v{labels.COMPOSE_VERSION} (pyctr {__version__})\n")
    else:
        raise InvalidArgument(f'unsupported format "{values["format"]}": must be pretty or json')
    return 0
