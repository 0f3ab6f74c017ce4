"""`system check` of the networks: links that somebody removed, packet rules that somebody flushed, endpoints of killed monitors,
and what on the host keeps packets of containers back.

Rules are derived from files, so they can be made again, in one transaction. `nft` is asked what is there; where it is not installed
mending makes the rules again without a finding.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from pyctr._core import json_loads
from pyctr.engine.images.check import Finding

if TYPE_CHECKING:
    from pyctr.engine import Engine

_NFT_TIMEOUT_S = 30


def check_networks(engine: Engine, *, mend: bool = False) -> list[Finding]:
    """What is not as the files say. With `mend` rules are made again and what killed monitors left is taken away."""
    networks = engine.networks.networks
    up = _networks_up(networks.run_directory)
    found = [Finding(f"network {name}", reason, mended=False) for name, reason in _missing_links(up)]
    for network in networks.all():
        dead = engine.networks.sweep(network) if mend else engine.networks.dead_endpoints(network)
        found += [
            Finding(f"network {network['Name']}", f"endpoint of container {each[:12]}, which was killed", mended=mend)
            for each in dead
        ]
    bridges = [network for network in up if network["driver"] == "bridge"]
    if bridges:
        listed = list_rules(networks.table)
        ends = [end for network in up for end in networks.endpoints(network["id"])]
        if listed is not None and (reason := missing_rules(listed, bridges, ends)):
            found.append(Finding(f"packet rules (table inet {networks.table})", reason, mended=mend))
        if mend:
            engine.networks.repair()
        links = [network["link"] for network in bridges]
        found += [Finding("forwarding", reason, mended=False) for reason in dropping(list_rules() or [], links)]
    found += [
        Finding("forwarding", f"net.{family}.{key} is off, so containers have no way out", mended=mend)
        for family, key in forwarding_off(up, mend=mend)
    ]
    return found


def forwarding_off(networks: list[dict[str, Any]], *, mend: bool) -> list[tuple[str, str]]:
    """The switches that networks need and somebody has turned off; with `mend` they are on again."""
    switches = {"ipv4": "ip_forward", "ipv6": "conf.all.forwarding"}
    found = []
    for family, key in switches.items():
        if not any(network[family] and network["driver"] == "bridge" for network in networks):
            continue
        path = f"/proc/sys/net/{family}/{key.replace('.', '/')}"
        with open(path, encoding="ascii") as file:
            off = file.read().strip() == "0"
        if off:
            found.append((family, key))
        if off and mend:
            with open(path, "w", encoding="ascii") as file:  # anew: a number is only taken at the file's beginning
                file.write("1")
    return found


def dropping(listed: list[dict[str, Any]], bridges: list[str]) -> list[str]:
    """Chains of others that drop what is forwarded unless a rule allows it, and have no rule that names our bridges.

    An accept of ours cannot save a packet from another table's chain, so the host's administrator has to allow it there.
    """
    found = []
    for chain in (each["chain"] for each in listed if "chain" in each):
        if chain.get("hook") != "forward" or chain.get("policy") != "drop":
            continue
        where = (chain["family"], chain["table"])
        rules = (each["rule"] for each in listed if "rule" in each)
        texts = [str(rule["expr"]) for rule in rules if (rule["family"], rule["table"]) == where]
        shut = [bridge for bridge in bridges if not any(f"'{bridge}'" in text for text in texts)]
        if not shut:
            continue
        program = {("ip", "filter"): "iptables", ("ip6", "filter"): "ip6tables"}.get(where)
        rule = f"{program} -I {chain['name']}"
        allow = (
            f"{rule} -i {shut[0]} -j ACCEPT; {rule} -o {shut[0]} -j ACCEPT"
            if program
            else f"let it accept what comes from and goes to {shut[0]}"
        )
        found.append(
            f"chain {chain['name']} of table {' '.join(where)} drops packets of {', '.join(shut)} (policy drop): {allow}"
        )
    return found


def _networks_up(directory: str) -> list[dict[str, Any]]:
    """The networks whose links are there, or should be."""
    found = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        try:
            with open(f"{directory}/{name}/network.json", "rb") as file:
                found.append(json_loads(file.read()))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _missing_links(networks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    from pyctr.network.store import link_exists

    wanted = ((network["name"], network["link"] or network["parent"]) for network in networks)
    return [
        (name, f"link {link} was removed: its next container makes it again, those that run have to be restarted")
        for name, link in wanted
        if not link_exists(link)
    ]


def list_rules(table: str = "") -> list[dict[str, Any]] | None:
    """What nft says is in a table, or everywhere; nothing where there is none; None where nobody can be asked."""
    nft = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if nft is None:
        return None
    command = [nft, "-j", "list", *(["table", "inet", table] if table else ["ruleset"])]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_NFT_TIMEOUT_S)
    if done.returncode:
        return []
    objects: list[dict[str, Any]] = json_loads(done.stdout)["nftables"]
    return objects


def missing_rules(listed: list[dict[str, Any]], bridges: list[dict[str, Any]], ends: list[dict[str, Any]]) -> str:
    """What a table lacks for bridges and endpoints that are up, in words; empty: nothing."""
    if not listed:
        return "the table is gone"
    with_rules = {each["rule"]["chain"] for each in listed if "rule" in each}
    chains = {each["chain"]["name"] for each in listed if "chain" in each}
    lacking = {"ports", "raw", "prerouting", "output", "forward", "postrouting"} - (chains & with_rules)
    if lacking:
        return f"chain {min(lacking)} has no rules"
    known = [each[kind] for each in listed for kind in ("set", "map") if kind in each]
    elements = {each["name"]: str(each.get("elem", "")) for each in known}
    if len(_elements(known, "bridges")) < len(bridges):
        return "a bridge is missing in set bridges"
    published = "".join(text for name, text in elements.items() if name.startswith("ports"))
    for port in (port for end in ends for port in end["ports"]):
        if str(port["host_port"]) not in published:
            return f"port {port['host_port']}/{port['protocol']} is missing"
    for family, digit in (("ipv4", "4"), ("ipv6", "6")):
        led_to = elements.get(f"members{digit}", "")
        shared = (end for end in ends if (end.get("vip") or {}).get(family) and end.get("serving", True))
        for end in (end for end in shared if end[family]):
            if f"'{end[family]}'" not in led_to:
                return f"virtual address {end['vip'][family]} does not lead to {end[family]}"
    return ""


def _elements(known: list[dict[str, Any]], name: str) -> list[Any]:
    return next((list(each.get("elem", ())) for each in known if each["name"] == name), [])
