"""Networks: the use cases behind `network create`, `ls`, `inspect`, `rm`, `connect`, `disconnect`, `prune`."""

from __future__ import annotations

import os
import time

from pyctr._core import json_dumps, network_make, network_rebuild, network_remove
from pyctr.engine.containers.network import networks_of
from pyctr.engine.containers.state import current_state, is_running
from pyctr.engine.network_change import changing, connect_running, disconnect_running
from pyctr.errors import Conflict, InvalidArgument, NotFound, StateError
from pyctr.network.address import parse_subnet
from pyctr.network.plan import plan_core_network, settings_of
from pyctr.network.pool import choose_subnet, choose_subnet_v6, default_gateway, plan_ipam
from pyctr.network.store import PREDEFINED, Networks, check_name, link_exists, subnets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store

    #: Inside the class `list` is the method.
    Strings = list[str]
    Objects = list[dict[str, Any]]

#: Containers that one virtual address leads to, at most: its slots in the packet rules (rust/core/src/net/nft/table.rs).
MEMBERS_MAX = 256
DRIVERS = ("bridge", "macvlan", "ipvlan")
_BRIDGE_NAME = "com.docker.network.bridge.name"
_NAME_MAX = 15
_MODES = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
_BRIDGE_OPTIONS = frozenset(
    (
        _BRIDGE_NAME,
        "com.docker.network.bridge.enable_icc",
        "com.docker.network.bridge.enable_ip_masquerade",
        "com.docker.network.bridge.host_binding_ipv4",
        "com.docker.network.bridge.default_bridge",
        "com.docker.network.driver.mtu",
    )
)


class NetworkService:
    """The networks of an engine. A reference is a name, an id or a unique prefix of one."""

    __slots__ = ("networks", "store")

    def __init__(self, engine: Engine) -> None:
        self.store: Store = engine.containers.store
        self.networks: Networks = networks_of(self.store)

    # -- create, remove ------------------------------------------------------------------------------------------

    def create(self, name: str, options: dict[str, Any]) -> str:
        """Make a network; its id. `options` are `network create`'s. Raises what Docker refuses; leaves nothing then."""
        network = self._plan(name, options)
        lock = self.networks.lock()
        try:
            self._allocate(network, ipv6=bool(options.get("ipv6")), ipv4=options.get("ipv4", True))
            self.networks.add(network)
            try:
                self._make(network)
            except BaseException:
                self.networks.delete(name)
                network_remove(self.networks.run_directory, self.networks.table, network["Id"], forget=True)
                raise
        finally:
            os.close(lock)
        write_network_event(self.store.root, "create", network)
        return str(network["Id"])

    def _plan(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        check_name(name)
        driver = options.get("driver", "bridge")
        if name in PREDEFINED:
            raise Conflict(f"operation is not permitted on predefined {name} network")
        if driver in ("host", "null", "none"):
            raise InvalidArgument(f'only one instance of "{driver}" network is allowed')
        if driver == "overlay":
            raise InvalidArgument("driver overlay: this node is not a swarm manager (pyctr has no swarm)")
        if driver not in DRIVERS:
            raise InvalidArgument(f"could not find plugin {driver} in v1 plugin registry: plugin not found")
        for option, why in _UNSUPPORTED.items():
            if options.get(option):
                raise InvalidArgument(f"--{option.replace('_', '-')}: {why}")
        if options.get("scope", "") not in ("", "local"):
            raise InvalidArgument(f"--scope {options['scope']}: this node is not a swarm manager (pyctr has no swarm)")
        if options.get("ipam_driver", "default") != "default":
            raise InvalidArgument(f"--ipam-driver {options['ipam_driver']}: there is only the default one")
        network = self.networks.new(name, driver)
        network["Internal"] = bool(options.get("internal"))
        network["Attachable"] = bool(options.get("attachable"))
        network["Labels"] = pairs(options.get("label", ()))
        network["Options"] = pairs(options.get("opt", ()))
        network["IPAM"]["Config"] = plan_ipam(
            options.get("subnet", []),
            options.get("gateway", []),
            options.get("ip_range", []),
            pairs(options.get("aux_address", ()), required="aux-address"),
        )
        versions = [parse_subnet(config["Subnet"]).version for config in network["IPAM"]["Config"]]
        if driver == "bridge" and len(set(versions)) < len(versions):
            raise InvalidArgument("bridge driver doesn't support multiple subnets")
        plan_driver(network)
        plan_core_network(network)
        return network

    def _allocate(self, network: dict[str, Any], *, ipv4: bool, ipv6: bool) -> None:
        """Subnets and gateways where none were named; refuses what overlaps another network or a route of the host."""
        configs = network["IPAM"]["Config"]
        taken = self.networks.taken_subnets()
        for config in configs:
            for subnet in subnets_of({"IPAM": {"Config": [config]}}):
                if network["Driver"] == "bridge" and any(subnet.overlaps(other) for other in taken):
                    raise Conflict("invalid pool request: Pool overlaps with other one on this address space")
        families = {":" in config["Subnet"] for config in configs}
        if ipv4 and False not in families:
            configs.insert(0, {"Subnet": str(choose_subnet(taken))})
        if ipv6 and True not in families:
            configs.append({"Subnet": str(choose_subnet_v6(os.urandom(8)))})
        if not ipv6 and True in families:
            ipv6 = True  # as the client does where an IPv6 subnet was named
        network["EnableIPv4"], network["EnableIPv6"] = ipv4, ipv6
        for config in configs:
            if "Gateway" not in config and not (network["Internal"] and network["Driver"] != "bridge"):
                config["Gateway"] = default_gateway(config)

    def _make(self, network: dict[str, Any]) -> None:
        os.makedirs(self.networks.run_directory, 0o711, exist_ok=True)
        network_make(self.networks.run_directory, self.networks.table, json_dumps(plan_core_network(network)))

    def remove(self, reference: str) -> str:
        """Remove a network nobody uses; its name. Raises NotFound, StateError naming who uses it."""
        network = self.networks.resolve(reference)
        name, network_id = network["Name"], network["Id"]
        if name in PREDEFINED:
            raise Conflict(f"{name} is a pre-defined network and cannot be removed")
        self.sweep(network)
        users = self.networks.endpoints(network_id)
        gone = not users and network_remove(self.networks.run_directory, self.networks.table, network_id, forget=True)
        if not gone:
            names = " ".join(f'name:"{self._name(user["container"])}" id:"{user["endpoint"][:12]}"' for user in users)
            raise StateError(f"error while removing network: network {name} has active endpoints ({names})")
        self.networks.delete(name)
        write_network_event(self.store.root, "destroy", network)
        return str(name)

    def dead_endpoints(self, network: dict[str, Any]) -> Strings:
        """Containers whose monitor was killed and whose endpoints are still there."""
        every = (endpoint["container"] for endpoint in self.networks.endpoints(network["Id"]))
        return [container_id for container_id in every if not self.store.is_locked(container_id)]

    def sweep(self, network: dict[str, Any]) -> Strings:
        """Bury containers whose monitor was killed, so that their endpoints are in nobody's way; their ids."""
        from pyctr.engine.containers.network import release_network

        dead = self.dead_endpoints(network)
        for container_id in dead:
            current_state(self.store, container_id)
            release_network(self.store, container_id)
        return dead

    def _name(self, container_id: str) -> str:
        try:
            return str(self.store.record(container_id)["Name"].removeprefix("/"))
        except NotFound:
            return container_id[:12]

    def prune(self, filters: dict[str, Strings] | None = None) -> Strings:
        """Remove user-defined networks no container asks for; their names. `filters`: label, label!, until."""
        from pyctr.engine.network_filters import is_dangling, is_prunable

        used = self._used()
        removed = []
        for network in self.networks.all():
            if not is_prunable(network, filters or {}) or not is_dangling(network, used):
                continue
            try:
                removed.append(self.remove(network["Name"]))
            except (StateError, NotFound):  # somebody has begun to use it, or was faster
                continue
        return removed

    # -- list, inspect -------------------------------------------------------------------------------------------

    def list(self, filters: dict[str, Strings] | None = None) -> Objects:
        """Networks by name, in the form of `inspect` but for the containers."""
        found = self.networks.all()
        if filters:
            from pyctr.engine.network_filters import apply_filters

            found = apply_filters(found, filters, self._used)
        return [public(network) for network in found]

    def _used(self) -> set[str]:
        return {name for _, record in self.store.records() for name in settings_of(record)}

    def inspect(self, reference: str) -> dict[str, Any]:
        """What `docker network inspect` shows; Containers are those that run."""
        network = self.networks.resolve(reference)
        containers = {}
        for endpoint in self.networks.endpoints(network["Id"]):
            bits = {":" in config["Subnet"]: config["Subnet"].partition("/")[2] for config in network["IPAM"]["Config"]}
            containers[endpoint["container"]] = {
                "Name": self._name(endpoint["container"]),
                "EndpointID": endpoint["endpoint"],
                "MacAddress": endpoint["mac"],
                "IPv4Address": f"{endpoint['ipv4']}/{bits.get(False)}" if endpoint["ipv4"] else "",
                "IPv6Address": f"{endpoint['ipv6']}/{bits.get(True)}" if endpoint["ipv6"] else "",
            }
        return {**public(network), "Containers": containers}

    # -- connect, disconnect -------------------------------------------------------------------------------------

    def connect(self, reference: str, container: str, options: dict[str, Any]) -> None:
        """Connect a container, running or not, to one more network."""
        network = self.networks.resolve(reference)
        container_id = self.store.resolve(container)
        record = self.store.record(container_id)
        mode = record["HostConfig"]["NetworkMode"]
        if mode == "host" or network["Driver"] in ("host", "null"):
            raise StateError("container cannot be disconnected from host network or connected to host network")
        if mode.startswith("container:"):
            raise StateError(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        settings = parse_connect(options, network)
        with changing(self.store, container_id):
            asked = self._asked(container_id)
            if network["Name"] in asked:
                name = record["Name"].removeprefix("/")
                raise Conflict(f"endpoint with name {name} already exists in network {network['Name']}")
            asked[network["Name"]] = settings
            if is_running(self.store, container_id):
                connect_running(self.store, record, network, asked)
            self._save(container_id, asked, mode=mode)
        write_network_event(self.store.root, "connect", network, container=container_id)

    def _asked(self, container_id: str) -> dict[str, dict[str, Any]]:
        """Network name → what was asked for on it; a network that was removed is no name's."""
        asked = {}
        for reference, settings in settings_of(self.store.record(container_id)).items():
            try:
                asked[self.networks.resolve(reference)["Name"]] = settings
            except NotFound:
                asked[reference] = settings
        return asked

    def _save(self, container_id: str, asked: dict[str, dict[str, Any]], *, mode: str) -> None:
        record = self.store.record(container_id)
        record["Pyctr"]["networks"] = asked
        if asked and mode not in asked:
            mode = next(iter(asked))
        record["HostConfig"]["NetworkMode"] = mode if asked else "none"
        self.store.write(container_id, "config.json", record)

    def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Take a container, running or not, off a network. `force`: also one that is gone."""
        network = self.networks.resolve(reference)
        try:
            container_id = self.store.resolve(container)
        except NotFound:
            if not force:
                raise
            self.sweep(network)
            return
        record = self.store.record(container_id)
        mode = record["HostConfig"]["NetworkMode"]
        if mode == "host":
            raise StateError("container cannot be disconnected from host network or connected to host network")
        with changing(self.store, container_id):
            asked = self._asked(container_id)
            if asked.pop(network["Name"], None) is None:
                raise StateError(f"container {container_id} is not connected to network {network['Name']}")
            if is_running(self.store, container_id):
                disconnect_running(self.store, record, network, asked)
            self._save(container_id, asked, mode=mode)
        write_network_event(self.store.root, "disconnect", network, container=container_id)

    # -- virtual addresses ---------------------------------------------------------------------------------------

    def reserve(self, reference: str, key: str) -> dict[str, str]:
        """The virtual addresses a network keeps under `key`, as driver options of an endpoint that is to share them.

        Chosen when first asked for. Raises NotFound, InvalidArgument (no such addresses there), Conflict (none left).
        """
        from pyctr.network.virtual import reserve

        return reserve(self.networks, self.networks.resolve(reference)["Name"], key)

    def release(self, reference: str, key: str) -> None:
        """What a network kept under `key` is anybody's again."""
        from pyctr.network.virtual import release

        release(self.networks, self.networks.resolve(reference)["Name"], key)

    # -- repair --------------------------------------------------------------------------------------------------

    def repair(self) -> None:
        """Make the packet rules again from the files: what somebody flushed is back (`system check`)."""
        network_rebuild(self.networks.run_directory, self.networks.table)


_UNSUPPORTED = {
    "ingress": "there is no swarm",
    "config_only": "configuration-only networks are not supported",
    "config_from": "configuration-only networks are not supported",
    "ipam_opt": "the default driver has no options",
}


def plan_driver(network: dict[str, Any]) -> None:
    """Link, parent and mode of a new network; refuses options its driver does not have."""
    options, own, driver = network["Options"], network["Pyctr"], network["Driver"]
    if driver == "bridge":
        unknown = [key for key in options if key not in _BRIDGE_OPTIONS]
        if unknown:
            raise InvalidArgument(f"driver option {unknown[0]}: not supported by the bridge driver")
        own["link"] = options.get(_BRIDGE_NAME) or "br-" + network["Id"][:12]
        if len(own["link"]) > _NAME_MAX or "/" in own["link"]:
            raise InvalidArgument(f"invalid bridge name {own['link']}: at most {_NAME_MAX} characters")
        return
    mode_key = f"{driver}_mode"
    unknown = [key for key in options if key not in ("parent", mode_key, "com.docker.network.driver.mtu")]
    if unknown:
        raise InvalidArgument(f"driver option {unknown[0]}: not supported by the {driver} driver")
    own["mode"] = options.get(mode_key, _MODES[driver][0])
    if own["mode"] not in _MODES[driver]:
        raise InvalidArgument(
            f"requested {driver} mode '{own['mode']}' is not valid, '{_MODES[driver][0]}' mode is the {driver} driver default"
        )
    own["parent"] = options.get("parent", "")
    if not own["parent"]:  # leads nowhere but to its neighbours
        own["parent"] = own["link"] = "dm-" + network["Id"][:12]
        network["Internal"] = True
    elif not link_exists(own["parent"]) and "." in own["parent"]:
        own["link"] = own["parent"]  # a VLAN, made for this network and removed with it


def parse_connect(options: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    """What `network connect` asks for, as a record has it."""
    from pyctr.engine.options.network import add_driver_option, check_address, check_alias, refuse_on_default
    from pyctr.engine.options.units import parse_int

    settings: dict[str, Any] = {}
    for key, version in (("ip", 4), ("ip6", 6)):
        if options.get(key):
            settings[f"ipv{version}"] = check_address(options[key], key, version=version)
    if options.get("alias"):
        settings["aliases"] = [check_alias(alias) for alias in options["alias"]]
    if options.get("gw_priority"):
        settings["gw_priority"] = parse_int(options["gw_priority"], "--gw-priority")
    for text in options.get("driver_opt") or ():
        add_driver_option(settings, text)
    for key in ("link_local_ip", "link"):
        if options.get(key):
            raise InvalidArgument(f"--{key.replace('_', '-')}: not supported by network connect")
    if network["Name"] == "bridge":
        refuse_on_default(settings)
    return settings


def pairs(texts: Any, required: str = "") -> dict[str, str]:
    """``KEY=VALUE`` options; `required`: the option's name where a value must be there."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or (required and not equals):
            raise InvalidArgument(f"bad format for {required or 'option'}: {text}")
        found[key] = value
    return found


def public(network: dict[str, Any]) -> dict[str, Any]:
    """A network without what is pyctr's own."""
    return {key: value for key, value in network.items() if key != "Pyctr"} | {"Containers": {}}


def write_network_event(root: str, action: str, network: dict[str, Any], **more: str) -> None:
    """Append a network's event to the journal."""
    moment = time.time_ns()
    event = {
        "Type": "network",
        "Action": action,
        "Actor": {"ID": network["Id"], "Attributes": {"name": network["Name"], "type": network["Driver"], **more}},
        "scope": "local",
        "time": moment // 1_000_000_000,
        "timeNano": moment,
    }
    fd = os.open(root + "/events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, json_dumps(event) + b"\n")
    finally:
        os.close(fd)
