"""Commands on networks and volumes (see `pyctr.cli.table`)."""

from __future__ import annotations

from pyctr.cli.table import FILTER, FLAG, FORMAT, IDS, LIST, NO_TRUNC, TEXT

COMMANDS = {
    "port": ("network", 1, 2, False, "CONTAINER [PRIVATE_PORT[/PROTO]]", "Show published ports of a container", ()),
    "network create": (
        "network", 1, 1, False, "NETWORK", "Make a network",
        (
            ("attachable", "", FLAG, "", "Let containers be attached by hand (they always can)"),
            ("aux-address", "", LIST, "NAME=ADDRESS", "Address no container gets"),
            ("config-from", "", TEXT, "NETWORK", "Copy another network's configuration"),
            ("config-only", "", FLAG, "", "Make a configuration only"),
            ("driver", "d", TEXT, "DRIVER", "bridge, macvlan or ipvlan (default bridge)"),
            ("gateway", "", LIST, "ADDRESS", "Gateway of the subnet"),
            ("ingress", "", FLAG, "", "Swarm's routing mesh"),
            ("internal", "", FLAG, "", "No way out"),
            ("ip-range", "", LIST, "SUBNET", "Part of the subnet containers get addresses from"),
            ("ipam-driver", "", TEXT, "DRIVER", "Address management (default only)"),
            ("ipam-opt", "", LIST, "KEY=VALUE", "Option of address management"),
            ("ipv4", "", FLAG, "", "Give IPv4 addresses (default true)"),
            ("ipv6", "", FLAG, "", "Give IPv6 addresses"),
            ("label", "", LIST, "KEY=VALUE", "Set a label"),
            ("opt", "o", LIST, "KEY=VALUE", "Option of the driver"),
            ("scope", "", TEXT, "SCOPE", "Scope (local)"),
            ("subnet", "", LIST, "SUBNET", "Subnet in CIDR form"),
        ),
    ),
    "network ls": (
        "network", 0, 0, False, "", "List networks",
        (FILTER, FORMAT, NO_TRUNC, IDS),
    ),
    "network inspect": (
        "network", 1, None, False, "NETWORK [NETWORK...]", "Show everything about networks",
        (
            ("format", "f", TEXT, "TEMPLATE", "json or a Go template"),
            ("verbose", "v", FLAG, "", "Show everything (it is shown anyway)"),
        ),
    ),
    "network rm": (
        "network", 1, None, False, "NETWORK [NETWORK...]", "Remove networks",
        (("force", "f", FLAG, "", "No error where there is no such network"),),
    ),
    "network prune": (
        "network", 0, 0, False, "", "Remove networks no container asks for",
        (("filter", "", LIST, "KEY=VALUE", "Remove only what matches"), ("force", "f", FLAG, "", "Do not ask")),
    ),
    "network connect": (
        "network", 2, 2, False, "NETWORK CONTAINER", "Connect a container to a network",
        (
            ("alias", "", LIST, "NAME", "Further name on the network"),
            ("driver-opt", "", LIST, "KEY=VALUE", "Option of the driver"),
            ("gw-priority", "", TEXT, "N", "The highest has the default route"),
            ("ip", "", TEXT, "ADDRESS", "IPv4 address"),
            ("ip6", "", TEXT, "ADDRESS", "IPv6 address"),
            ("link", "", LIST, "CONTAINER[:ALIAS]", "Link to another container"),
            ("link-local-ip", "", LIST, "ADDRESS", "Link-local address"),
        ),
    ),
    "network disconnect": (
        "network", 2, 2, False, "NETWORK CONTAINER", "Take a container off a network",
        (("force", "f", FLAG, "", "Also one that is gone"),),
    ),
    "volume create": (
        "volume", 0, 1, False, "[VOLUME]", "Make a volume",
        (
            ("driver", "d", TEXT, "NAME", "Volume driver (local only)"),
            ("label", "", LIST, "KEY[=VALUE]", "Set a label"),
            ("opt", "o", LIST, "KEY=VALUE", "Option of the driver: type, device, o"),
        ),
    ),
    "volume ls": ("volume", 0, 0, False, "", "List volumes", (FILTER, FORMAT, ("quiet", "q", FLAG, "", "Show names only"))),
    "volume inspect": (
        "volume", 1, None, False, "VOLUME [VOLUME...]", "Show everything about volumes",
        (("format", "f", TEXT, "TEMPLATE", "json or a Go template"),),
    ),
    "volume rm": (
        "volume", 1, None, False, "VOLUME [VOLUME...]", "Remove volumes",
        (("force", "f", FLAG, "", "Do not mind one that is not there"),),
    ),
    "volume prune": (
        "volume", 0, 0, False, "", "Remove volumes that no container uses",
        (
            ("all", "a", FLAG, "", "Named ones too, not just anonymous ones"),
            ("filter", "", LIST, "KEY=VALUE", "Remove only what matches"),
            ("force", "f", FLAG, "", "Do not ask"),
        ),
    ),
}  # fmt: skip
