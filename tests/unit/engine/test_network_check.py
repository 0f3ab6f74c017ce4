"""What `system check` says of a table, by what nft lists."""

from __future__ import annotations

from typing import Any

from pyctr.engine.network_check import dropping, missing_rules

CHAINS = ("ports", "raw", "prerouting", "output", "forward", "postrouting")
BRIDGE = {"link": "pyctr0"}
PORT = {"host_port": 8080, "protocol": "tcp"}
END = {"ports": [PORT], "ipv4": "172.17.0.2", "ipv6": None}


def listed(*, without: str = "") -> list[dict[str, Any]]:
    rules = [{"rule": {"chain": name}} for name in CHAINS if name != without]
    ports = {"name": "ports4", "elem": [[{"concat": ["tcp", 8080]}, {"concat": ["172.17.0.2", 80]}]]}
    sets = [{"set": {"name": "bridges", "elem": ["pyctr0"]}}, {"map": ports}]
    return [*({"chain": {"name": name}} for name in CHAINS), *rules, *sets]


def test_missing_rules_whole_table_lacks_nothing() -> None:
    assert missing_rules(listed(), [BRIDGE], [END]) == ""


def test_missing_rules_names_the_first_thing_that_is_gone() -> None:
    assert missing_rules([], [BRIDGE], []) == "the table is gone"
    assert missing_rules(listed(without="forward"), [BRIDGE], []) == "chain forward has no rules"
    assert missing_rules(listed(), [BRIDGE, BRIDGE], []) == "a bridge is missing in set bridges"
    other = END | {"ports": [{"host_port": 9090, "protocol": "udp"}]}
    assert missing_rules(listed(), [BRIDGE], [other]) == "port 9090/udp is missing"


def test_missing_rules_virtual_address_leads_to_those_that_serve() -> None:
    members = {"map": {"name": "members4", "elem": [[{"concat": ["br0", "10.0.0.9", 0]}, "10.0.0.2"]]}}
    there, missing = (
        {"ports": [], "ipv4": ipv4, "ipv6": None, "vip": {"ipv4": "10.0.0.9", "ipv6": None}}
        for ipv4 in ("10.0.0.2", "10.0.0.3")
    )
    assert missing_rules([*listed(), members], [BRIDGE], [there]) == ""
    why = "virtual address 10.0.0.9 does not lead to 10.0.0.3"
    assert missing_rules([*listed(), members], [BRIDGE], [there, missing]) == why
    assert missing_rules([*listed(), members], [BRIDGE], [there, missing | {"serving": False}]) == ""


def chain(table: str, *, policy: str, hook: str = "forward") -> dict[str, Any]:
    return {"chain": {"family": "inet", "table": table, "name": "c", "hook": hook, "policy": policy}}


def test_dropping_names_chains_of_others_until_a_rule_names_the_bridge() -> None:
    listed = [chain("a", policy="accept"), chain("b", policy="drop"), chain("c", policy="drop", hook="input")]
    [reason] = dropping(listed, ["pyctr0", "br1"])
    assert reason.startswith("chain c of table inet b drops packets of pyctr0, br1 (policy drop): let it accept")
    match = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "pyctr0"}}
    allowed = {"rule": {"family": "inet", "table": "b", "chain": "c", "expr": [match, {"accept": None}]}}
    [reason] = dropping([*listed, allowed], ["pyctr0", "br1"])
    assert "packets of br1 (" in reason
    assert dropping([*listed, allowed], ["pyctr0"]) == []
