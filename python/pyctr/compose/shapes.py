"""Every object of a compose file: its keys in docker compose's order, and what each is (see `shape`)."""

from __future__ import annotations

from pyctr.compose.shape import (
    any_flag,
    any_number,
    command,
    count,
    duration,
    env_file,
    flag,
    hosts,
    list_of,
    map_of,
    mode,
    number,
    pairs,
    real,
    size,
    some_duration,
    ssh,
    struct_of,
    test,
    text,
    texts,
    ulimit,
    words,
)

LABELS = pairs("")
OPTIONS = pairs("")
VARIABLES = pairs(None)

FILE_REFERENCE = struct_of(("source", text), ("target", text), ("uid", text), ("gid", text), ("mode", mode))
ULIMITS = map_of(ulimit)
BUILD = struct_of(
    ("context", text), ("dockerfile", text), ("dockerfile_inline", text), ("entitlements", texts), ("args", VARIABLES),
    ("provenance", text), ("sbom", text), ("ssh", ssh), ("labels", LABELS), ("cache_from", texts), ("cache_to", texts),
    ("no_cache", flag), ("additional_contexts", pairs("")), ("pull", flag), ("extra_hosts", hosts), ("isolation", text),
    ("network", text), ("target", text), ("secrets", list_of(FILE_REFERENCE)), ("shm_size", size), ("tags", texts),
    ("ulimits", ULIMITS), ("platforms", texts), ("privileged", flag),
)  # fmt: skip
HOOK = struct_of(
    ("command", command), ("user", text), ("privileged", flag), ("working_dir", text), ("environment", VARIABLES)
)
WATCH = struct_of(
    ("path", text), ("action", text), ("target", text), ("exec", HOOK), ("include", texts), ("ignore", texts),
    ("initial_sync", flag),
)  # fmt: skip
RATE = struct_of(("path", text), ("rate", size))
BLKIO = struct_of(
    ("weight", number), ("weight_device", list_of(struct_of(("path", text), ("weight", number)))),
    ("device_read_bps", list_of(RATE)), ("device_read_iops", list_of(RATE)), ("device_write_bps", list_of(RATE)),
    ("device_write_iops", list_of(RATE)),
)  # fmt: skip
DEVICE_REQUEST = struct_of(
    ("capabilities", texts), ("driver", text), ("count", count), ("device_ids", texts), ("options", pairs(""))
)
UPDATE = struct_of(
    ("parallelism", any_number), ("delay", some_duration), ("failure_action", text), ("monitor", some_duration),
    ("max_failure_ratio", real), ("order", text),
)  # fmt: skip
GENERIC = struct_of(("discrete_resource_spec", struct_of(("kind", text), ("value", any_number))))
RESOURCE = struct_of(
    ("cpus", real), ("memory", size), ("pids", number), ("devices", list_of(DEVICE_REQUEST)),
    ("generic_resources", list_of(GENERIC)),
)  # fmt: skip
RESOURCES_OF = struct_of(("limits", RESOURCE), ("reservations", RESOURCE))
PLACEMENT = struct_of(
    ("constraints", texts), ("preferences", list_of(struct_of(("spread", text)))), ("max_replicas_per_node", number)
)
DEPLOY = struct_of(
    ("mode", text), ("replicas", any_number), ("labels", LABELS), ("update_config", UPDATE), ("rollback_config", UPDATE),
    ("resources", RESOURCES_OF),
    ("restart_policy", struct_of(("condition", text), ("delay", duration), ("max_attempts", any_number), ("window", duration))),
    ("placement", PLACEMENT), ("endpoint_mode", text),
    always=("resources", "placement"),  # Go prints a struct that is no pointer even where it is empty
)  # fmt: skip
HEALTHCHECK = struct_of(
    ("test", test), ("timeout", duration), ("interval", duration), ("retries", any_number), ("start_period", duration),
    ("start_interval", duration), ("disable", flag),
)  # fmt: skip
ATTACHED = struct_of(
    ("aliases", texts), ("driver_opts", OPTIONS), ("gw_priority", number), ("interface_name", text), ("ipv4_address", text),
    ("ipv6_address", text), ("link_local_ips", texts), ("mac_address", text), ("priority", number),
)  # fmt: skip
PORT = struct_of(
    ("name", text), ("mode", text), ("host_ip", text), ("target", number), ("published", text), ("protocol", text),
    ("app_protocol", text),
)  # fmt: skip
MOUNT = struct_of(
    ("type", text), ("source", text), ("target", text), ("read_only", flag), ("consistency", text),
    ("bind", struct_of(("selinux", text), ("propagation", text), ("create_host_path", flag), ("recursive", text))),
    ("volume", struct_of(("labels", pairs("")), ("nocopy", flag), ("subpath", text))),
    ("tmpfs", struct_of(("size", size), ("mode", number))), ("image", struct_of(("subpath", text))),
)  # fmt: skip
SERVICE = struct_of(
    ("profiles", texts), ("annotations", pairs("")), ("attach", any_flag), ("build", BUILD),
    ("develop", struct_of(("watch", list_of(WATCH)))), ("blkio_config", BLKIO), ("cap_add", texts), ("cap_drop", texts),
    ("cgroup_parent", text), ("cgroup", text), ("cpu_count", number), ("cpu_percent", real), ("cpu_period", number),
    ("cpu_quota", number), ("cpu_rt_period", number), ("cpu_rt_runtime", number), ("cpus", real), ("cpuset", text),
    ("cpu_shares", number), ("command", command), ("configs", list_of(FILE_REFERENCE)), ("container_name", text),
    ("credential_spec", struct_of(("config", text), ("file", text), ("registry", text))),
    ("depends_on", map_of(struct_of(("condition", text), ("restart", flag), ("required", any_flag)))), ("deploy", DEPLOY),
    ("device_cgroup_rules", texts), ("devices", list_of(struct_of(("source", text), ("target", text), ("permissions", text)))),
    ("dns", texts), ("dns_opt", texts), ("dns_search", texts), ("dockerfile", text), ("domainname", text),
    ("entrypoint", command), ("provider", struct_of(("type", text), ("options", map_of(words)))), ("environment", VARIABLES),
    ("env_file", list_of(env_file)), ("expose", texts),
    ("extends", struct_of(("file", text), ("service", text))), ("external_links", texts), ("extra_hosts", hosts),
    ("group_add", texts), ("gpus", list_of(DEVICE_REQUEST)), ("hostname", text), ("healthcheck", HEALTHCHECK), ("image", text),
    ("init", any_flag), ("ipc", text), ("isolation", text), ("labels", LABELS), ("label_file", texts), ("links", texts),
    ("logging", struct_of(("driver", text), ("options", OPTIONS))), ("mem_limit", size), ("mem_reservation", size),
    ("memswap_limit", size), ("mem_swappiness", size), ("mac_address", text),
    ("models", map_of(struct_of(("endpoint_var", text), ("model_var", text)), null=True)), ("network_mode", text),
    ("networks", map_of(ATTACHED, null=True)), ("oom_kill_disable", flag), ("oom_score_adj", number), ("pid", text),
    ("pids_limit", number), ("platform", text), ("ports", list_of(PORT)), ("privileged", flag), ("pull_policy", text),
    ("read_only", flag), ("restart", text), ("runtime", text), ("scale", any_number), ("secrets", list_of(FILE_REFERENCE)),
    ("security_opt", texts), ("shm_size", size), ("stdin_open", flag), ("stop_grace_period", duration), ("stop_signal", text),
    ("storage_opt", pairs("")), ("sysctls", pairs("")), ("tmpfs", texts), ("tty", flag), ("ulimits", ULIMITS),
    ("use_api_socket", flag), ("user", text), ("userns_mode", text), ("uts", text), ("volume_driver", text),
    ("volumes", list_of(MOUNT)), ("volumes_from", texts), ("working_dir", text), ("post_start", list_of(HOOK)),
    ("pre_stop", list_of(HOOK)),
    always=("command", "entrypoint"),
)  # fmt: skip
IPAM = struct_of(
    ("driver", text),
    ("config", list_of(struct_of(("subnet", text), ("gateway", text), ("ip_range", text), ("aux_addresses", pairs(""))))),
)  # fmt: skip
NETWORK = struct_of(
    ("name", text), ("driver", text), ("driver_opts", OPTIONS), ("ipam", IPAM), ("external", flag), ("internal", flag),
    ("attachable", flag), ("labels", LABELS), ("enable_ipv4", any_flag), ("enable_ipv6", any_flag),
    always=("ipam",),
)  # fmt: skip
VOLUME = struct_of(("name", text), ("driver", text), ("driver_opts", OPTIONS), ("external", flag), ("labels", LABELS))
FILE_OBJECT = struct_of(
    ("name", text), ("file", text), ("environment", text), ("content", text), ("external", flag), ("labels", LABELS),
    ("driver", text), ("driver_opts", OPTIONS), ("template_driver", text),
)  # fmt: skip
MODEL = struct_of(("name", text), ("model", text), ("context_size", number), ("runtime_flags", texts))
RESOURCES = {"networks": NETWORK, "volumes": VOLUME, "secrets": FILE_OBJECT, "configs": FILE_OBJECT, "models": MODEL}
