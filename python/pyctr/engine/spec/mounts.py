"""The mounts: Docker's defaults, the container's own files in /etc, volumes, binds, tmpfs, in their order."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.spec.plan import Joined

#: moby oci/defaults.go
_DEFAULTS = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
)
_SHM = "/dev/shm"  # noqa: S108 (a mount point inside the container)
#: Left writable by --read-only (moby daemon/oci_linux.go).
_STAY_WRITABLE = frozenset(("/proc", "/dev", "/dev/pts", _SHM, "/dev/mqueue"))
_PRIVILEGED_WRITABLE = frozenset(("/sys", "/sys/fs/cgroup"))
_OPPOSITES = {
    "noexec": "exec",
    "exec": "noexec",
    "nosuid": "suid",
    "suid": "nosuid",
    "nodev": "dev",
    "dev": "nodev",
    "ro": "rw",
    "rw": "ro",
}
ETC_FILES = ("resolv.conf", "hostname", "hosts")


def plan_mounts(record: dict[str, Any], joined: Joined, container_dir: str) -> list[dict[str, Any]]:
    """Defaults first, then by depth of target, so that nothing is hidden by a mount above it."""
    host_config = record["HostConfig"]
    asked = [*plan_volumes(record), *plan_tmpfs(host_config)]
    targets = {mount["destination"] for mount in asked}
    mounts = [mount for mount in plan_defaults(host_config, joined) if not hidden(mount["destination"], targets)]
    own = [
        bind(f"{container_dir}/{name}", f"/etc/{name}", ["rbind", "rprivate"])
        for name in ETC_FILES
        if f"/etc/{name}" not in targets
    ]
    if host_config["ReadonlyRootfs"]:
        writable = _STAY_WRITABLE | (_PRIVILEGED_WRITABLE if host_config["Privileged"] else frozenset())
        for mount in mounts + own:
            if mount["destination"] not in writable and "ro" not in mount["options"]:
                mount["options"].append("ro")
    return mounts + sorted(own + asked, key=lambda mount: mount["destination"].count("/"))


def hidden(destination: str, targets: set[str]) -> bool:
    """Whether a default mount gives way: its own target was asked for, or it lies below an asked-for /dev."""
    return destination in targets or ("/dev" in targets and destination.startswith("/dev/"))


def plan_defaults(host_config: dict[str, Any], joined: Joined) -> list[dict[str, Any]]:
    """The seven of Docker, as --privileged and --ipc change them."""
    mounts: list[dict[str, Any]] = []
    for destination, kind, source, options in _DEFAULTS:
        words = list(options)
        if host_config["Privileged"] and destination in _PRIVILEGED_WRITABLE:
            words.remove("ro")
        mounts.append({"destination": destination, "type": kind, "source": source, "options": words})
    return mounts + plan_shm(host_config, joined)


def plan_shm(host_config: dict[str, Any], joined: Joined) -> list[dict[str, Any]]:
    """The shared memory: own, the host's, a directory shared with other containers, or none."""
    mode = host_config["IpcMode"]
    if mode == "none":
        return []
    if mode == "host":
        return [bind(_SHM, _SHM, ["rbind", "rprivate"])]
    if joined.shm_path:
        return [bind(joined.shm_path, _SHM, ["rbind", "rprivate", "nosuid", "noexec", "nodev"])]
    options = ["nosuid", "noexec", "nodev", "mode=1777", f"size={host_config['ShmSize']}"]
    return [{"destination": _SHM, "type": "tmpfs", "source": "shm", "options": options}]


def plan_volumes(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Binds and volumes. Read-only means recursively so (Docker 25): else what is mounted below stays writable."""
    extras = {mount["Target"]: mount.get("BindOptions", {}) for mount in record["HostConfig"].get("Mounts") or ()}
    planned: list[dict[str, Any]] = []
    for mount in record["Mounts"]:
        if mount["Type"] == "tmpfs":
            continue
        extra = extras.get(mount["Destination"], {})
        options = ["bind" if extra.get("NonRecursive") else "rbind"]
        if not mount["RW"]:
            plain = extra.get("NonRecursive") or extra.get("ReadOnlyNonRecursive")
            options.append("ro" if plain else "rro")
        options.append(mount["Propagation"] or "rprivate")
        driver = record.get("Pyctr", {}).get("volume_options", {}).get(mount.get("Name"))
        planned.append(driver_mount(mount, driver) if driver else bind(mount["Source"], mount["Destination"], options))
    return planned


def driver_mount(mount: dict[str, Any], driver: dict[str, str]) -> dict[str, Any]:
    """A volume with driver options: mounted where it is used, in the container only, so that nothing is left to unmount."""
    options = [word for word in driver.get("o", "").split(",") if word]
    kind = driver["type"]
    if kind == "none":
        kind = "bind"
        options = [word if word != "bind" else "rbind" for word in options] or ["rbind"]
    if not mount["RW"]:
        options.append("ro")
    return {"destination": mount["Destination"], "type": kind, "source": driver["device"], "options": options}


def bind(source: str, destination: str, options: list[str]) -> dict[str, Any]:
    """A bind mount."""
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def plan_tmpfs(host_config: dict[str, Any]) -> list[dict[str, Any]]:
    """--tmpfs, and --mount type=tmpfs."""
    planned = [
        tmpfs(path, flags.split(",") if flags else []) for path, flags in (host_config.get("Tmpfs") or {}).items()
    ]
    for mount in host_config.get("Mounts") or ():
        if mount["Type"] == "tmpfs":
            settings = mount.get("TmpfsOptions", {})
            flags = ["ro"] if mount.get("ReadOnly") else []
            if settings.get("Mode"):
                flags.append(f"mode={settings['Mode']:o}")
            if settings.get("SizeBytes"):
                flags.append(f"size={settings['SizeBytes']}")
            planned.append(tmpfs(mount["Target"], flags))
    return planned


def tmpfs(destination: str, flags: list[str]) -> dict[str, Any]:
    """A tmpfs with Docker's defaults, each giving way to its opposite."""
    defaults = [word for word in ("noexec", "nosuid", "nodev", "rprivate") if _OPPOSITES.get(word) not in flags]
    options = defaults + [flag for flag in flags if flag not in defaults]
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options}
