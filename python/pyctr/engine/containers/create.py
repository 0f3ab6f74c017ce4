"""From an image name, a command and options to a container on disk."""

from __future__ import annotations

import os

from pyctr._core import json_dumps, write_atomic
from pyctr.engine import times
from pyctr.engine.config import with_defaults
from pyctr.engine.containers.files import write_files
from pyctr.engine.containers.store import check_name
from pyctr.engine.host import choose_cgroup_driver, gather
from pyctr.engine.options import parse_request
from pyctr.engine.options.limits import verify
from pyctr.engine.options.merge import merge_image, split_command
from pyctr.engine.volumes.points import name_volumes, plan_mount_points
from pyctr.errors import Conflict, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.store import Store
    from pyctr.engine.host import HostFacts
    from pyctr.engine.options import Request

    Platform = tuple[str, str, str]

RECORD_VERSION = 1
_NAME_ATTEMPTS = 16
#: What the package itself carries, so that a machine with no network runs something.
BUILTIN_IMAGES = frozenset(("hello", "hello:latest"))


class Created:
    """A container that exists: its id, what Docker would have warned of; internally also what a start needs next."""

    __slots__ = ("facts", "id", "lock", "lower", "record", "warnings")

    def __init__(self, id: str, warnings: list[str], record: dict[str, Any], facts: HostFacts, lock: int) -> None:
        self.id = id
        self.warnings = warnings
        self.record = record
        self.facts = facts
        self.lock = lock
        self.lower: list[str] = []


def create_container(engine: Engine, image: str, command: list[str], options: dict[str, Any]) -> Created:
    """Make a container, its lock still held by the caller. Raises what Docker refuses; leaves nothing behind then."""
    request = parse_request(image, command, with_defaults(engine.config, options))
    found = find_image(engine, image, request)
    pin = found.pin()  # until the record says that the image is in use
    try:
        return create_from(engine, found, request)
    finally:
        os.close(pin)


def create_from(engine: Engine, found: Any, request: Request) -> Created:
    """Make a container of an image that stays meanwhile."""
    store = engine.containers.store
    merge_image(request.config, found.config.get("config") or {})
    refuse_unsupported(request)
    facts = gather(request.host_config)
    warnings = request.warnings + verify(request.host_config, facts)
    driver = choose_cgroup_driver(engine.config.cgroup_driver, request.host_config["CgroupParent"])
    resolve_joined(store, request.host_config)
    check_links(store, request.host_config)
    path, args = split_command(request.config)
    points = plan_mount_points(request.config, request.host_config, volumes_from(store, request.host_config))
    check_sources(request.host_config)
    cidfile = open_cidfile(request.host_config["ContainerIDFile"])
    try:
        record = {
            "Id": "",
            "Created": times.now(),
            "Path": path,
            "Args": args,
            "Image": found.id,
            "Name": request.name,
            "Config": request.config,
            "HostConfig": request.host_config,
            "Mounts": points,
            "Pyctr": {
                "version": RECORD_VERSION,
                "layers": [layer.removeprefix("sha256:") for layer in found.layers],
                "image_config_digest": found.id,
                "networks": request.networks,
                "cgroup_driver": driver,
            },
        }
        container_id, lock = write_container(store, record, found.layer_paths(), name=request.name)
    except BaseException:
        if cidfile is not None:
            os.close(cidfile)
            os.unlink(request.host_config["ContainerIDFile"])
        raise
    if cidfile is not None:
        os.write(cidfile, container_id.encode())
        os.close(cidfile)
    created = Created(container_id, warnings, record, facts, lock)
    created.lower = found.layer_paths()
    return created


def write_container(store: Store, record: dict[str, Any], lower: list[str], *, name: str) -> tuple[str, int]:
    """Put a record on disk under a fresh id and its name; fills in what depends on the id. Returns the held lock."""
    wanted = check_name(name) if name else ""
    container_id, lock = store.new_directory()
    directory = store.temporary_path(container_id)
    taken = ""
    try:
        record["Id"] = container_id
        config = record["Config"]
        config["Hostname"] = config["Hostname"] or default_hostname(record["HostConfig"], container_id)
        record["Pyctr"]["anonymous_volumes"] = name_volumes(store, record["Mounts"])
        for part in ("upper", "work", "merged"):
            os.mkdir(f"{directory}/{part}", 0o755 if part == "upper" else 0o700)
        write_files(directory, record)
        taken = take_any_name(store, wanted, container_id, directory)
        record["Name"] = "/" + taken
        write_atomic(directory + "/config.json", json_dumps(record), sync=not record["HostConfig"]["AutoRemove"])
        if any(point["Type"] == "volume" for point in record["Mounts"]):
            from pyctr.engine.volumes.store import make_volumes

            # After the record: who sweeps up after a killed create finds in it which volumes go.
            make_volumes(store, record, lower)
            if record["Pyctr"].get("volume_options"):
                write_atomic(directory + "/config.json", json_dumps(record))
        store.publish(container_id)
    except BaseException:
        if taken:
            store.release_name(taken, container_id)
        store.discard(container_id)
        os.close(lock)
        raise
    return container_id, lock


def default_hostname(host_config: dict[str, Any], container_id: str) -> str:
    """The short id; with the host's network the host's own name (moby daemon/create.go)."""
    return os.uname().nodename if host_config["NetworkMode"] == "host" else container_id[:12]


def take_any_name(store: Store, wanted: str, container_id: str, directory: str) -> str:
    """Take `wanted`, or a generated name; after a few collisions one with a number, as Docker does."""
    if wanted:
        store.take_name(wanted, container_id, directory=directory)
        return wanted
    from pyctr.engine.containers.names import random_name

    for attempt in range(_NAME_ATTEMPTS):
        name = random_name() + (container_id[:attempt] if attempt else "")
        try:
            store.take_name(name, container_id, directory=directory)
        except Conflict:
            continue
        return name
    raise Conflict("generate a container name: every try is in use")


def find_image(engine: Engine, image: str, request: Request) -> Any:
    """The image, loaded from the package where it is the built-in one. Raises InvalidArgument, NotFound."""
    wanted = parse_wanted(request.platform)
    if request.pull == "always":
        found = pull_image(engine, image, request, missing=False)
    else:
        found = find_local(engine, image, request, wanted)
        if found is None:
            found = pull_image(engine, image, request, missing=True)
    check_platform(image, wanted, found.config)
    return found


def find_local(engine: Engine, image: str, request: Request, wanted: Platform | None) -> Any:
    """The image that is here already, in the right platform; None if it has to be pulled."""
    try:
        found = engine.image_store.resolve(image)
    except NotFound:
        if request.pull == "never":
            raise NotFound(f"No such image: {with_tag(image)}") from None
        if image not in BUILTIN_IMAGES:
            return None
        engine.images.load_builtin(image)
        return engine.image_store.resolve(image)
    if wanted and request.pull == "missing" and image not in BUILTIN_IMAGES:
        try:
            check_platform(image, wanted, found.config)
        except NotFound:
            return None
    return found


def pull_image(engine: Engine, image: str, request: Request, *, missing: bool) -> Any:
    """Pull, showing it where the caller wants it shown."""
    options = {"platform": request.platform}
    if engine.pull_report is None:
        engine.images.pull(image, **options)
    else:
        with engine.pull_report(with_tag(image) if missing else "") as report:
            engine.images.pull(image, **options, report=report)
    return engine.image_store.resolve(image)


def with_tag(image: str) -> str:
    """The name as Docker shows it: ``:latest`` where neither tag nor digest was given."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else image + ":latest"


def parse_wanted(text: str) -> Platform | None:
    """--platform, before anything is looked for; None where it was not given."""
    if not text:
        return None
    from pyctr.image.manifest import parse_platform

    try:
        return parse_platform(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"error parsing specified platform: {error}") from None


def check_platform(image: str, wanted: Platform | None, config: dict[str, Any]) -> None:
    """The image's platform must be the one that was asked for; without a variant any will do."""
    if wanted is None:
        return
    mine = (config.get("os") or "linux", config.get("architecture") or "", config.get("variant") or "")
    if wanted != (*mine[:2], mine[2] if wanted[2] else ""):
        raise NotFound(
            f"image with reference {image} was found but its platform ({'/'.join(filter(None, mine))}) does not match "
            f"the specified platform ({'/'.join(filter(None, wanted))})"
        )


def refuse_unsupported(request: Request) -> None:
    """What parses but cannot work yet is refused by name."""


def resolve_joined(store: Store, host_config: dict[str, Any]) -> None:
    """``container:NAME`` becomes ``container:<id>``: a rename must not change whom we join."""
    for field in ("NetworkMode", "PidMode", "IpcMode"):
        kind, colon, name = host_config[field].partition(":")
        if kind == "container" and colon:
            other = store.resolve(name)
            host_config[field] = "container:" + other
            if field == "IpcMode" and store.record(other)["HostConfig"]["IpcMode"] not in ("shareable", "host"):
                raise InvalidArgument(
                    f"cannot join IPC of a non-shareable container {name} "
                    '(hint: use IpcMode "shareable" for the donor container)'
                )


def check_links(store: Store, host_config: dict[str, Any]) -> None:
    """--link names a container there is."""
    for text in host_config["Links"] or ():
        name = text.partition(":")[0]
        try:
            store.resolve(name)
        except NotFound:
            raise NotFound(f"could not get container for {name}: No such container: {name}") from None


def volumes_from(store: Store, host_config: dict[str, Any]) -> list[dict[str, Any]]:
    """The mounts --volumes-from takes over; tmpfs ones stay where they are."""
    points: list[dict[str, Any]] = []
    for text in host_config["VolumesFrom"] or ():
        name, _, mode = text.partition(":")
        points += [
            {**point, "RW": point["RW"] and mode != "ro", "Mode": mode or point["Mode"]}
            for point in store.record(store.resolve(name))["Mounts"]
            if point["Type"] != "tmpfs"
        ]
    return points


def check_sources(host_config: dict[str, Any]) -> None:
    """--mount type=bind refuses a missing source where -v makes a directory (at start, as Docker does)."""
    for mount in host_config.get("Mounts") or ():
        options = mount.get("BindOptions", {})
        if mount["Type"] == "bind" and not options.get("CreateMountpoint") and not os.path.lexists(mount["Source"]):
            raise InvalidArgument(
                f'invalid mount config for type "bind": bind source path does not exist: {mount["Source"]}'
            )


def open_cidfile(path: str) -> int | None:
    """--cidfile, made before the container so that a bad path costs nothing."""
    if not path:
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise Conflict(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidArgument(f"failed to create the container ID file: open {path}: {reason}") from None
