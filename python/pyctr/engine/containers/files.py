"""The container's own /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

from pyctr.engine.host import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOSTS = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def plan_hosts(host_config: dict[str, Any], *, host_file: str = "") -> str:
    """/etc/hosts. With the host's network it is the host's file, as in Docker; --add-host lines follow."""
    text: str = host_file if host_config["NetworkMode"] == "host" and host_file else _HOSTS
    lines = [extra.partition(":") for extra in host_config["ExtraHosts"] or ()]
    text += "".join(f"{address}\t{name}\n" for name, _, address in lines)
    return text


def plan_hostname(config: dict[str, Any]) -> str:
    """/etc/hostname."""
    return f"{config['Hostname']}\n"


def plan_resolv_conf(host_config: dict[str, Any], host_text: str) -> str:
    """/etc/resolv.conf: the host's, each of --dns, --dns-search, --dns-option replacing its lines."""
    servers, search, options = host_config["Dns"], host_config["DnsSearch"], host_config["DnsOptions"]
    if not (servers or search or options):
        return host_text
    replaced = {"nameserver": servers, "search": search, "domain": search, "options": options}
    kept = [line for line in host_text.splitlines() if not replaced.get(line.split(None, 1)[0] if line.split() else "")]
    if search and search != ["."]:
        kept.append("search " + " ".join(search))
    kept += [f"nameserver {server}" for server in servers]
    if options:
        kept.append("options " + " ".join(options))
    return "\n".join(kept) + "\n"


def write_files(directory: str, record: dict[str, Any]) -> None:
    """Write the three into a container's directory; a joined network brings its owner's own at start."""
    config, host_config = record["Config"], record["HostConfig"]
    host_file = read_text("/etc/hosts") if host_config["NetworkMode"] == "host" else ""
    for name, text in (
        ("hosts", plan_hosts(host_config, host_file=host_file)),
        ("hostname", plan_hostname(config)),
        ("resolv.conf", plan_resolv_conf(host_config, read_text("/etc/resolv.conf"))),
    ):
        with open(f"{directory}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
