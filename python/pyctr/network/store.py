"""Networks on disk (docs/networks.md, "On disk"): ``ROOT/networks/<name>.json``, and the leases below ``RUN_ROOT/networks``."""

from __future__ import annotations

import fcntl
import os
import zlib

from pyctr._core import json_dumps, json_loads, write_atomic
from pyctr.errors import Conflict, CorruptData, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyctr.network.address import Address, Subnet
    from pyctr.network.pool import Pool

VERSION = 1
DEFAULT_ROOT = "/var/lib/pyctr"
#: Networks there are without being made → driver.
PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_HEX = frozenset("0123456789abcdef")


def check_name(name: str) -> str:
    """A name that can become a path; raises InvalidArgument."""
    if not name or not set(name) <= _NAME_CHARACTERS or name[0] in "_.-" or len(name) > 200:
        raise InvalidArgument(f"invalid network name: {name}, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name


class Networks:
    """The networks of one root. `now` tells the time a network is made (RFC 3339)."""

    __slots__ = ("bridge", "directory", "now", "run_directory", "table")

    def __init__(self, root: str, run_root: str, now: Callable[[], str]) -> None:
        self.directory = root + "/networks"
        self.run_directory = run_root + "/networks"
        self.now = now
        # Other roots may be in use on the same host (tests are): links and table are named apart.
        tag = "" if root == DEFAULT_ROOT else f"-{zlib.crc32(root.encode()):08x}"
        self.table = "pyctr" + tag
        self.bridge = "pyctr" + (tag or "0")

    # -- networks ------------------------------------------------------------------------------------------------

    def load(self, name: str) -> dict[str, Any]:
        """A network by its exact name; predefined ones are made when first asked for. Raises NotFound."""
        found = self._read(name) if name and set(name) <= _NAME_CHARACTERS and name[0] not in "_.-" else None
        if found is None and name in PREDEFINED:
            found = self._make_predefined(name)
        if found is None:
            raise NotFound(f"network {name} not found")
        return found

    def resolve(self, reference: str) -> dict[str, Any]:
        """A network by name, id or a unique prefix of one; raises NotFound, InvalidArgument."""
        try:
            return self.load(reference)
        except NotFound:
            if not reference or not set(reference) <= _HEX:
                raise
        found = [network for network in self.all() if network["Id"].startswith(reference)]
        if len(found) > 1:
            raise InvalidArgument(f"network {reference} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NotFound(f"network {reference} not found")
        return found[0]

    def all(self) -> list[dict[str, Any]]:
        """Every network, by name."""
        for name in PREDEFINED:
            if not os.path.exists(self.path(name)):
                self._make_predefined(name)
        names = (entry[:-5] for entry in os.listdir(self.directory) if entry.endswith(".json") and entry[0] != ".")
        found = (self._read(name) for name in sorted(names))
        return [network for network in found if network is not None]

    def path(self, name: str) -> str:
        """The file of a network."""
        return f"{self.directory}/{name}.json"

    def home(self, network_id: str) -> str:
        """The run-time directory of a network."""
        return f"{self.run_directory}/{network_id}"

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with open(self.path(name), "rb", buffering=0) as file:
                network: dict[str, Any] = json_loads(file.read() or b"")
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CorruptData(f"read {self.path(name)}: {error}") from None
        return network

    def lock(self) -> int:
        """Held while a network is made or removed: of two who choose a subnet the second sees the first's."""
        os.makedirs(self.directory, 0o711, exist_ok=True)
        lock = os.open(self.directory + "/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def save(self, network: dict[str, Any]) -> None:
        """Replace the file of a network that is there."""
        write_atomic(self.path(network["Name"]), json_dumps(network), mode=0o644)

    def add(self, network: dict[str, Any]) -> None:
        """Take the name; raises Conflict. For who holds the lock."""
        temporary = f"{self.directory}/.{network['Id']}.tmp"
        write_atomic(temporary, json_dumps(network), mode=0o644)
        try:
            os.link(temporary, self.path(network["Name"]))
        except FileExistsError:
            raise Conflict(f"network with name {network['Name']} already exists") from None
        finally:
            os.unlink(temporary)

    def delete(self, name: str) -> None:
        """Give the name back."""
        os.unlink(self.path(name))

    def _make_predefined(self, name: str) -> dict[str, Any]:
        lock = self.lock()
        try:
            found = self._read(name)
            if found is not None:
                return found
            network = self.new(name, PREDEFINED[name])
            if name == "bridge":
                network["Pyctr"]["link"] = self.bridge
                network["Options"] = dict(DEFAULT_BRIDGE_OPTIONS, **{"com.docker.network.bridge.name": self.bridge})
                self._elect(network)
            self.add(network)
            return network
        finally:
            os.close(lock)

    def new(self, name: str, driver: str) -> dict[str, Any]:
        """A network for which nothing was asked, in the form of its file."""
        return {
            "Name": name,
            "Id": os.urandom(32).hex(),
            "Created": self.now(),
            "Scope": "local",
            "Driver": driver,
            "EnableIPv4": True,
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": None, "Config": []},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Options": {},
            "Labels": {},
            "Pyctr": {"version": VERSION, "link": "", "parent": "", "mode": ""},
        }

    def _elect(self, network: dict[str, Any]) -> None:
        """Give a network the next free default subnet. For who holds the lock."""
        from pyctr.network.pool import choose_subnet, default_gateway

        config = {"Subnet": str(choose_subnet(self.taken_subnets(but=network["Name"])))}
        config["Gateway"] = default_gateway(config)
        network["IPAM"]["Config"] = [config]

    def taken_subnets(self, *, but: str = "") -> list[Subnet]:
        """Subnets of other networks, and those the host's routes lead to."""
        from pyctr.network.routes import host_subnets

        own = {network["Pyctr"]["link"] for network in self._existing()}
        taken = [subnet for network in self._existing() if network["Name"] != but for subnet in subnets_of(network)]
        return taken + [subnet for link, subnet in host_subnets() if link not in own]

    def _existing(self) -> Iterator[dict[str, Any]]:
        names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        for entry in names:
            if entry.endswith(".json") and entry[0] != ".":
                network = self._read(entry[:-5])
                if network is not None:
                    yield network

    def ready(self, network: dict[str, Any]) -> dict[str, Any]:
        """A network about to be used. The default one is not there between two uses: another program may have taken its subnet.

        Raises Conflict where that happened to a network with a subnet of its own.
        """
        link = network["Pyctr"]["link"]
        if network["Driver"] != "bridge" or link_exists(link):
            return network
        from pyctr.network.routes import host_subnets

        mine = subnets_of(network)
        clash = next(
            ((name, other) for name, other in host_subnets() for subnet in mine if subnet.overlaps(other)), None
        )
        if clash is None:
            return network
        if network["Name"] != "bridge":
            raise Conflict(
                f"network {network['Name']}: {mine[0]} overlaps with {clash[1]}, which the host reaches by {clash[0]}"
            )
        lock = self.lock()
        try:
            network = self.load("bridge")
            self._elect(network)
            self.save(network)
        finally:
            os.close(lock)
        return network

    # -- leases --------------------------------------------------------------------------------------------------

    def lease(
        self, network: dict[str, Any], container_id: str, *, wanted: str, version: int, is_live: Callable[[str], bool]
    ) -> str | None:
        """An address of a family for a container: the `wanted` one or the lowest that is free; None: no such subnet.

        Taken by exclusive create, so of two who want one exactly one gets it. Raises Conflict. `is_live` says whether another
        container's lease is to be respected.
        """
        from pyctr.network.pool import Pool

        pools = [Pool(config) for config in network["IPAM"]["Config"] if (":" in config["Subnet"]) == (version == 6)]
        if not pools:
            if wanted:
                raise InvalidArgument(f"invalid address {wanted}: It does not belong to any of this network's subnets")
            return None
        directory = self.home(network["Id"]) + "/addresses"
        if wanted:
            return self._lease_wanted(pools, directory, container_id, wanted, is_live)
        for pool in pools:
            for sweep in (False, True):
                taken = self._taken(directory, is_live if sweep else None)
                address = pool.first_free(taken)
                while address is not None:
                    if take(directory, str(address), container_id):
                        return str(address)
                    address = pool.first_free(taken, address.number + 1)
        raise Conflict(
            f"no available IPv{version} addresses on this network's address pools: {network['Name']} ({network['Id']})"
        )

    def _lease_wanted(
        self, pools: list[Pool], directory: str, container_id: str, wanted: str, is_live: Callable[[str], bool]
    ) -> str:
        from pyctr.network.address import parse_address

        address: Address = parse_address(wanted)
        pool = next((pool for pool in pools if pool.subnet.contains(address)), pools[0])
        pool.check(address)
        if not take(directory, str(address), container_id):
            owner = lease_owner(directory, str(address))
            if owner != container_id:
                if owner and is_live(owner):
                    raise Conflict(f"Address already in use: {wanted} by container {owner[:12]}")
                free(directory, str(address), owner)
                if not take(directory, str(address), container_id):
                    raise Conflict(f"Address already in use: {wanted}")
        return str(address)

    @staticmethod
    def _taken(directory: str, is_live: Callable[[str], bool] | None) -> set[str]:
        try:
            taken = set(os.listdir(directory))
        except FileNotFoundError:
            return set()
        if is_live is None:
            return taken
        for address in list(taken):
            owner = "" if address[0] == "." else lease_owner(directory, address)
            if owner and not is_live(owner):
                free(directory, address, owner)
                taken.discard(address)
        return taken

    def release(self, network_id: str, addresses: list[str | None], container_id: str) -> None:
        """Give leases back that are this container's."""
        directory = self.home(network_id) + "/addresses"
        for address in addresses:
            if address:
                free(directory, address, container_id)

    # -- endpoints -----------------------------------------------------------------------------------------------

    def endpoint(self, network_id: str, container_id: str) -> dict[str, Any] | None:
        """What a container has on a network while it runs."""
        try:
            with open(f"{self.home(network_id)}/endpoints/{container_id}", "rb", buffering=0) as file:
                found: dict[str, Any] = json_loads(file.read() or b"")
        except (FileNotFoundError, ValueError):
            return None
        return found

    def endpoints(self, network_id: str) -> list[dict[str, Any]]:
        """All that is up on a network."""
        try:
            names = os.listdir(self.home(network_id) + "/endpoints")
        except FileNotFoundError:
            return []
        found = (self.endpoint(network_id, name) for name in names if name[0] != ".")
        return [endpoint for endpoint in found if endpoint is not None]


#: What `docker network inspect bridge` shows.
DEFAULT_BRIDGE_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",  # noqa: S104 (what is meant)
}


def link_exists(name: str) -> bool:
    """Whether there is a link of this name in our network namespace (/sys may show another's)."""
    import _socket

    try:
        _socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def subnets_of(network: dict[str, Any]) -> list[Subnet]:
    """The subnets of a network."""
    from pyctr.network.address import parse_subnet

    return [parse_subnet(config["Subnet"]) for config in network["IPAM"]["Config"]]


def take(directory: str, address: str, container_id: str) -> bool:
    """Take a lease: the link of a complete file, so nobody reads an empty one."""
    temporary = f"{directory}/.{container_id}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(directory, 0o711, exist_ok=True)
        fd = os.open(temporary, flags, 0o644)
    os.write(fd, container_id.encode())
    os.close(fd)
    try:
        os.link(temporary, f"{directory}/{address}")
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def lease_owner(directory: str, address: str) -> str:
    """Whose lease it is; empty when it is gone."""
    try:
        with open(f"{directory}/{address}", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def free(directory: str, address: str, owner: str) -> None:
    """Take a lease away if it is still `owner`'s; who does that for others takes turns."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if owner and lease_owner(directory, address) == owner:
            os.unlink(f"{directory}/{address}")
    finally:
        os.close(lock)
