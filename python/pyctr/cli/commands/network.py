"""Commands on networks, and `port`."""

from __future__ import annotations

import sys

from pyctr._core import json_dumps
from pyctr.cli.human import columns
from pyctr.errors import InvalidArgument, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_SHORT = 12
_HEADERS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
}  # fmt: skip


def network_create(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a network."""
    sys.stdout.write(engine.networks.create(arguments[0], options) + "\n")
    return 0


def network_ls(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """List networks."""
    from pyctr.cli.filters import parse_filters

    found = engine.networks.list(parse_filters(options))
    whole = options.get("no_trunc", False)
    rows = [
        {
            "ID": network["Id"] if whole else network["Id"][:_SHORT],
            "Name": network["Name"],
            "Driver": network["Driver"],
            "Scope": network["Scope"],
            "IPv4": str(network["EnableIPv4"]).lower(),
            "IPv6": str(network["EnableIPv6"]).lower(),
            "Internal": str(network["Internal"]).lower(),
            "Labels": ",".join(f"{key}={value}" for key, value in sorted((network["Labels"] or {}).items())),
            "CreatedAt": network["Created"],
        }
        for network in found
    ]
    if options.get("quiet"):
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    template = options.get("format")
    if template is None or template == "table":
        fields = ("ID", "Name", "Driver", "Scope")
        sys.stdout.write(
            columns([_HEADERS[field] for field in fields], [[row[field] for field in fields] for row in rows])
        )
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, rows, _HEADERS)
    return 0


def network_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show everything about networks."""
    values, errors = [], []
    for name in arguments:
        try:
            values.append(engine.networks.inspect(name))
        except (NotFound, InvalidArgument) as error:
            errors.append(str(error))
    template = options.get("format")
    if template is None or template == "json":
        sys.stdout.write(json_dumps(values, indent=4 if template is None else None).decode() + "\n")
    else:
        from pyctr.cli.format import compile_template

        render = compile_template(template)
        sys.stdout.write("".join(render(value) + "\n" for value in values))
    return _report(errors)


def _report(errors: list[str]) -> int:
    sys.stdout.flush()
    for message in errors:
        sys.stderr.write(f"pyctr: {message}\n")
    return 1 if errors else 0


def network_rm(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Remove networks; what fails does not keep the rest from being removed."""
    errors = []
    for reference in arguments:
        try:
            engine.networks.remove(reference)
        except PyctrError as error:
            if not (options.get("force") and isinstance(error, NotFound)):
                errors.append(str(error))
            continue
        sys.stdout.write(reference + "\n")
    return _report(errors)


def network_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove networks no container asks for, after asking."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters

    filters = parse_filters(options, "--filter")
    if not options.get("force") and not confirm(
        "WARNING! This will remove all custom networks not used by at least one container."
    ):
        return 0
    removed = engine.networks.prune(filters)
    if removed:
        sys.stdout.write("Deleted Networks:\n" + "".join(f"{name}\n" for name in removed) + "\n")
    return 0


def network_connect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Connect a container to a network."""
    from pyctr.engine.options.units import parse_int

    if "gw_priority" in options:  # a flag that cannot be read is told before a network that is not there
        parse_int(options["gw_priority"], "--gw-priority")
    engine.networks.connect(arguments[0], arguments[1], options)
    return 0


def network_disconnect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Take a container off a network."""
    engine.networks.disconnect(arguments[0], arguments[1], force=options.get("force", False))
    return 0


def port(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Show published ports."""
    from pyctr.engine.ports import show_host

    ports = engine.containers.inspect(arguments[0])["NetworkSettings"]["Ports"]
    if len(arguments) > 1:
        number, slash, protocol = arguments[1].partition("/")
        if not number.isascii() or not number.isdigit() or (slash and protocol.lower() not in ("tcp", "udp", "sctp")):
            raise InvalidArgument(f"invalid port: {arguments[1]}")
        wanted = f"{number}/{protocol.lower() or 'tcp'}"
        bindings = ports.get(wanted)
        if not bindings:
            raise NotFound(f"no public port '{arguments[1]}' published for {arguments[0]}")
        sys.stdout.write("".join(f"{show_host(host['HostIp'], int(host['HostPort']))}\n" for host in bindings))
        return 0
    for text, bindings in sorted(ports.items(), key=lambda item: (int(item[0].partition("/")[0]), item[0])):
        for host in bindings or ():
            sys.stdout.write(f"{text} -> {show_host(host['HostIp'], int(host['HostPort']))}\n")
    return 0
