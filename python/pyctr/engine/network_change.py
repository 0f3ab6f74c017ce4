"""The networks of a container that runs change: `network connect`, `disconnect`, `rename`.

monitor.json is written anew and its monitor told, which makes what is up equal to it; then the files in the container's /etc, in
place, since those very files are mounted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from pyctr.engine.containers.network import (
    host_resolv_conf,
    name_servers,
    networks_of,
    own_hosts,
    plan_dns,
    plan_named_resolv_conf,
)
from pyctr.engine.containers.session import connect
from pyctr.errors import StateError
from pyctr.network.plan import (
    elect_defaults,
    host_binding,
    interface_name,
    plan_endpoint,
    plan_nothing,
    release_plan,
)
from pyctr.network.port import plan_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.engine.containers.store import Store

_PATIENCE_S = 30.0
_NAME_SERVER = "127.0.0.11"


@contextlib.contextmanager
def changing(store: Store, container_id: str) -> Iterator[None]:
    """Who changes a container's networks does it alone."""
    directory = os.open(store.path(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def connect_running(
    store: Store, record: dict[str, Any], network: dict[str, Any], asked: dict[str, dict[str, Any]]
) -> None:
    """Make an endpoint on one more network; default routes and ports go where `asked`, all networks by name, has them."""
    networks, container_id = networks_of(store), record["Id"]
    request = store.read(container_id, "monitor.json")
    plan = dict(request.get("network") or plan_nothing(networks, store.containers_dir))
    ends = [dict(end) for end in plan["endpoints"]]
    if not ends:
        plan["ports"] = plan_ports(record["Config"], record["HostConfig"], host_binding(network))
    interface = interface_name(asked[network["Name"]], [end["interface"] for end in ends])
    end = plan_endpoint(
        networks, record, networks.ready(network), asked[network["Name"]], interface=interface, is_live=store.is_locked
    )
    try:
        plan["endpoints"] = [*ends, end]
        elect_defaults(plan["endpoints"], asked)
        named = plan["dns"] is not None
        plan["dns"] = replan_dns(plan, record)
        tell(store, container_id, request, plan)
    except BaseException:
        release_plan(networks, [end], container_id)
        raise
    change_hosts(store, record, add=own_hosts(record["Config"], end))
    if plan["dns"] is not None and not named:
        change_resolv_conf(store, record)


def disconnect_running(
    store: Store, record: dict[str, Any], network: dict[str, Any], asked: dict[str, dict[str, Any]]
) -> None:
    """Take the endpoint on a network away; `asked` are the networks that stay."""
    container_id = record["Id"]
    request = store.read(container_id, "monitor.json")
    plan = dict(request["network"])
    gone = [end for end in plan["endpoints"] if end["network"]["id"] == network["Id"]]
    plan["endpoints"] = [dict(end) for end in plan["endpoints"] if end["network"]["id"] != network["Id"]]
    elect_defaults(plan["endpoints"], asked)
    plan["dns"] = replan_dns(plan, record)
    tell(store, container_id, request, plan)
    for end in gone:
        change_hosts(store, record, remove=own_hosts(record["Config"], end))


def rename_running(store: Store, record: dict[str, Any], old: str) -> None:
    """A container answers to its new name at once, and after a restart too."""
    request = store.read(record["Id"], "monitor.json")
    if not request.get("network"):
        return
    plan, new = dict(request["network"]), record["Name"].removeprefix("/").lower()

    def rename(end: dict[str, Any]) -> dict[str, Any]:
        others = [name for name in end["names"] if name not in (old.lower(), new)]
        return {**end, "names": [new, *others]} if end["names"] else end

    plan["endpoints"] = [rename(end) for end in plan["endpoints"]]
    if plan["endpoints"] != request["network"]["endpoints"]:
        tell(store, record["Id"], request, plan)


def replan_dns(plan: dict[str, Any], record: dict[str, Any]) -> dict[str, Any] | None:
    """The name server of changed endpoints: once there is one it stays, and so do links."""
    before, ends = plan["dns"], plan["endpoints"]
    if before is None:
        return plan_dns(ends, record, [])
    return {**before, "forward": not ends or any(not end["network"]["internal"] for end in ends)}


def tell(store: Store, container_id: str, request: dict[str, Any], plan: dict[str, Any]) -> None:
    """Have the monitor make what is up equal to `plan`; where it cannot, monitor.json is what it was."""
    store.write(container_id, "monitor.json", {**request, "network": plan})
    try:
        with connect(store.run_path(container_id), container_id) as session:
            session.send({"op": "network"})
            if session.expect("ok", timeout_s=_PATIENCE_S) is None:
                raise StateError(f"monitor of container {container_id[:12]}: does not answer")
    except BaseException:
        store.write(container_id, "monitor.json", request)
        raise


def change_hosts(store: Store, record: dict[str, Any], *, add: str = "", remove: str = "") -> None:
    """Change /etc/hosts."""
    with open(f"{store.path(record['Id'])}/hosts", "r+", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.readlines()
        gone = set(remove.splitlines(keepends=True))
        file.seek(0)
        file.write("".join(line for line in lines if line not in gone) + add)
        file.truncate()


def change_resolv_conf(store: Store, record: dict[str, Any]) -> None:
    """Make /etc/resolv.conf name the name server, if it does not yet."""
    with open(f"{store.path(record['Id'])}/resolv.conf", "r+", encoding="utf-8", errors="surrogateescape") as file:
        if name_servers(file.read()) == [_NAME_SERVER]:
            return
        file.seek(0)
        file.write(plan_named_resolv_conf(record["HostConfig"], host_resolv_conf()))
        file.truncate()
