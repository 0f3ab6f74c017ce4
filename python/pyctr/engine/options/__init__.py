"""What the user asked for, parsed: options as strings in, Docker's Config and HostConfig out.

Owns the wording of every refusal a client can make without looking at the image or the host; what needs the image is in
`merge`, what needs the host in `limits`. Only the families of options that were given are imported: a start pays for
what it uses.
"""

from __future__ import annotations

from pyctr.engine.options.record import new_config, new_host_config
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Docker's long flag name (with ``_``) → the module of this package that parses it.
FAMILIES: dict[str, str] = {}
for _module, _names in (
    (
        "process",
        "user workdir entrypoint hostname domainname tty interactive attach stop_signal stop_timeout group_add",
    ),
    ("process", "restart_delay restart_window"),
    ("process", "restart rm init read_only cidfile shm_size runtime isolation storage_opt annotation oom_score_adj"),
    ("environment", "env env_file label label_file"),
    ("volumes", "volume mount tmpfs volumes_from volume_driver"),
    ("devices", "device device_cgroup_rule gpus blkio_weight_device"),
    ("devices", "device_read_bps device_write_bps device_read_iops device_write_iops"),
    ("resources", "memory memory_swap memory_reservation memory_swappiness kernel_memory oom_kill_disable"),
    ("resources", "cpus cpu_shares cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpuset_cpus cpuset_mems"),
    ("resources", "pids_limit blkio_weight ulimit cgroup_parent cpu_count cpu_percent io_maxbandwidth io_maxiops"),
    ("security", "cap_add cap_drop privileged security_opt sysctl"),
    ("namespaces", "network net pid ipc uts userns cgroupns"),
    ("network", "add_host dns dns_option dns_search publish publish_all expose ip ip6 mac_address link link_local_ip"),
    ("network", "network_alias net_alias dns_opt"),
    ("log", "log_driver log_opt"),
    ("health", "health_cmd health_interval health_retries health_start_interval health_start_period"),
    ("health", "health_timeout no_healthcheck"),
):
    for _name in _names.split():
        FAMILIES[_name] = _module

#: Options of the command, not of the container: whoever runs the command reads them.
COMMAND_OPTIONS = frozenset(
    ("name", "platform", "pull", "quiet", "detach", "detach_keys", "sig_proxy", "disable_content_trust")
)


class Request:
    """A container as asked for, before image and host had their say."""

    __slots__ = ("config", "host_config", "name", "networks", "options", "platform", "pull", "warnings")

    def __init__(self, config: dict[str, Any], host_config: dict[str, Any], options: dict[str, Any]) -> None:
        self.config = config
        self.host_config = host_config
        self.options = options
        self.name: str = options.get("name", "")
        self.platform: str = options.get("platform", "")
        self.pull: str = options.get("pull", "missing")
        self.warnings: list[str] = []
        #: Network → what was asked for on it, in order; empty where there is no endpoint to make.
        self.networks: dict[str, dict[str, Any]] = {}


def parse_request(image: str, command: list[str], options: dict[str, Any]) -> Request:
    """Parse every option; raises InvalidArgument worded as Docker's client words it."""
    check_text("argument", [image, *command])
    for key, value in options.items():
        check_text("--" + key.replace("_", "-"), value if isinstance(value, list) else [value])
    config, host_config = new_config(), new_host_config()
    config["Image"] = image
    config["Cmd"] = list(command) or None
    request = Request(config, host_config, options)
    families: dict[str, None] = {"process": None, "namespaces": None}
    for key in options:
        family = FAMILIES.get(key)
        if family is not None:
            families[family] = None
        elif key not in COMMAND_OPTIONS:
            raise InvalidArgument(f"unknown flag: --{key.replace('_', '-')}")
    for family in families:
        __import__("pyctr.engine.options." + family, fromlist=("parse",)).parse(request, options)
    check_command_options(request, options)
    check_text("environment variable", request.config["Env"])  # -e NAME takes whatever the caller's environment holds
    return request


def check_text(what: str, values: list[Any]) -> None:
    """Refuse what neither execve(2) nor JSON can carry."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidArgument(f"{what} {value!a}: not valid UTF-8") from None
        if isinstance(value, str) and "\0" in value:
            raise InvalidArgument(f"{what} {value!a}: contains a null byte")


def check_command_options(request: Request, options: dict[str, Any]) -> None:
    """Refuse values of the command's own options and combinations no family sees alone."""
    if request.pull not in ("always", "missing", "never"):
        raise InvalidArgument(f'invalid pull option: \'{request.pull}\': must be one of "always", "missing" or "never"')
    restart = request.host_config["RestartPolicy"]["Name"]
    if request.host_config["AutoRemove"] and restart not in ("", "no"):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    if options.get("detach") and options.get("attach"):
        conflict = InvalidArgument("conflicting options: cannot specify both --attach and --detach")
        conflict.exit_code = 1  # unlike its other refusals: docker's run
        raise conflict
    if options.get("detach_keys") and not options.get("detach"):
        from pyctr.engine.containers.session import check_detach_keys

        check_detach_keys(options["detach_keys"])  # before there is a container
    host = request.host_config
    if host["PidMode"] == "host" and host["UsernsMode"] == "private":
        raise InvalidArgument("conflicting options: --pid host and a user namespace")
