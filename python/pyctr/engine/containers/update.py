"""`update`: limits and restart policy of a container that exists, running or not (moby daemon/update.go)."""

from __future__ import annotations

from pyctr.engine.containers import request
from pyctr.engine.containers.session import connect
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.engine.host import gather
from pyctr.engine.options.limits import verify
from pyctr.engine.options.record import new_config, new_host_config
from pyctr.engine.spec.linux import plan_block_io, plan_cpu, plan_memory
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store
    from pyctr.engine.host import HostFacts

#: Option → field of HostConfig.
_FIELDS = {
    "blkio_weight": "BlkioWeight",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_rt_period": "CpuRealtimePeriod",
    "cpu_rt_runtime": "CpuRealtimeRuntime",
    "cpu_shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "pids_limit": "PidsLimit",
}
_PATIENCE_S = 10.0


def update_container(store: Store, container_id: str, asked: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Change the limits `asked` for and the restart policy of `options`; the warnings. Raises InvalidArgument and leaves everything as it was."""
    record = store.record(container_id)
    host = dict(record["HostConfig"])
    changed = plan_update(host, asked)
    facts = gather(host)
    warnings = verify(host, facts)
    restart = plan_restart(host, options)
    if current_state(store, container_id).get("status") in ACTIVE:
        message: dict[str, Any] = {"op": "update"}
        if changed:
            message["resources"] = plan_changes(host, changed, facts)
        if restart is not None:
            message["restart"] = restart
        with connect(store.run_path(container_id), container_id) as session:
            session.send(message)
            session.expect("ok", timeout_s=_PATIENCE_S)
    store.write(container_id, "config.json", {**record, "HostConfig": host})
    return warnings


def parse_limits(options: dict[str, Any]) -> dict[str, Any]:
    """The limits that were given, by their fields of HostConfig."""
    from pyctr.engine.options import Request
    from pyctr.engine.options.resources import parse

    given = {name: value for name, value in options.items() if name in _FIELDS}
    parsed = Request(new_config(), new_host_config(), given)
    parse(parsed, given)
    return {_FIELDS[name]: parsed.host_config[_FIELDS[name]] for name in given}


def plan_update(host: dict[str, Any], asked: dict[str, Any]) -> set[str]:
    """Take the limits asked for into `host`; the fields that changed."""
    refuse_conflicts(host, asked)
    host.update({field: value for field, value in asked.items() if value or field == "PidsLimit"})
    return {field for field, value in asked.items() if value or field == "PidsLimit"}


def refuse_conflicts(host: dict[str, Any], asked: dict[str, Any]) -> None:
    """What the container has already rules out (moby container/container_unix.go, UpdateContainer)."""
    memory, swap = asked.get("Memory", 0), asked.get("MemorySwap", 0)
    if memory and not swap and 0 < host["MemorySwap"] < memory:
        raise InvalidArgument(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    for field, words in (("CpuPeriod", "CPU Period"), ("CpuQuota", "CPU Quota")):
        if host["NanoCpus"] and asked.get(field):
            raise InvalidArgument(f"Conflicting options: {words} cannot be updated as NanoCPUs has already been set")
        if host[field] and asked.get("NanoCpus"):
            raise InvalidArgument(f"Conflicting options: Nano CPUs cannot be updated as {words} has already been set")


def plan_restart(host: dict[str, Any], options: dict[str, Any]) -> dict[str, Any] | None:
    """Take --restart into `host`; the monitor's form of it, None where it was not given."""
    if "restart" not in options:
        return None
    from pyctr.engine.options.process import parse_restart

    policy = parse_restart(options["restart"])
    if host["AutoRemove"] and policy["Name"] not in ("", "no"):
        raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled for the container")
    host["RestartPolicy"] = policy
    return request.plan_restart(policy)


def plan_changes(host: dict[str, Any], changed: set[str], facts: HostFacts) -> dict[str, Any]:
    """The families of limits of which something changed, in the runtime-spec's form."""
    resources: dict[str, Any] = {}
    if any(field.startswith("Memory") for field in changed):
        resources["memory"] = plan_memory(host)
    if any(field.startswith(("Cpu", "Nano")) for field in changed):
        resources["cpu"] = plan_cpu(host)
    if "BlkioWeight" in changed:
        resources["blockIO"] = plan_block_io(host, facts)
    if "PidsLimit" in changed:
        resources["pids"] = {"limit": host["PidsLimit"] or -1}
    return resources
