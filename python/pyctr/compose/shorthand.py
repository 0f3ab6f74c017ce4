"""Short forms of volumes, ports and devices, as one string."""

from __future__ import annotations

from typing import Any

PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def volume(spec: str) -> dict[str, Any]:
    """The long form of ``[SOURCE:]TARGET[:OPTIONS]``. Raises ValueError."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) < 3:
        return {"type": "volume", "target": spec}
    parts = _sections(spec)
    if not all(parts):
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    if len(parts) == 1:
        return {"type": "volume", "target": spec, "volume": {}}
    source, target = parts[:2]
    long: dict[str, Any] = {"type": "bind" if is_path(source) else "volume", "source": source, "target": target}
    return _with_options(long, parts[2].split(",") if len(parts) == 3 else [])


def _with_options(long: dict[str, Any], options: list[str]) -> dict[str, Any]:
    """A mount with ``ro``, ``z``, a propagation…; unknown words are ignored, as docker compose does."""
    bind: dict[str, Any] = {}
    for option in options:
        if option in ("ro", "rw"):
            long.pop("read_only", None)
            long |= {"read_only": True} if option == "ro" else {}
        elif option == "nocopy":
            long["volume"] = {"nocopy": True}
        elif option in PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if long["type"] == "bind":
        long["bind"] = {**bind, "create_host_path": True}
    else:
        long.setdefault("volume", {})
        if bind:
            long["bind"] = bind
    return long


def _sections(spec: str) -> list[str]:
    """What stands between colons, but for a drive's and those in a variable."""
    parts, current, depth = [], "", 0
    for index, letter in enumerate(spec):
        if letter == "$" and spec[index + 1 : index + 2] == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
        elif letter == ":" and not depth and not (len(current) == 1 and current.isalpha()):
            parts.append(current)
            current = ""
            continue
        current += letter
    return [*parts, current]


def is_path(source: str) -> bool:
    """Whether a volume's source is a path of the host, not a name."""
    return (
        source[0] in "./~"
        or source.startswith("\\\\")
        or (len(source) > 1 and source[0].isalpha() and source[1] == ":")
    )


def ports(spec: str) -> list[dict[str, Any]]:
    """The long forms of ``[[IP:]PUBLISHED:]TARGET[/PROTOCOL]``, one for each port of a range. Raises ValueError."""
    body, slash, protocol = spec.partition("/")
    host, published, target = _split_port(body)
    protocol = protocol.lower() or "tcp"
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    if not target:
        raise ValueError(f"no port specified: {spec}<empty>")
    if host:
        host = _address(host)
    first, last = _range(target, "containerPort")
    begin, end = _range(published, "hostPort") if published else (0, 0)
    whole = bool(published) and end - begin != last - first
    if whole and first != last:
        raise ValueError(f"invalid ranges specified for container and host Ports: {target} and {published}")
    result = []
    for offset in range(last - first + 1):
        port: dict[str, Any] = {"mode": "ingress"}
        if host:
            port["host_ip"] = host
        port["target"] = first + offset
        if published:
            port["published"] = f"{begin}-{end}" if whole else str(begin + offset)
        result.append({**port, "protocol": protocol})
    # docker compose sorts the ports of a range as words.
    return sorted(result, key=lambda port: f"{port['target']}/{protocol}")


def _split_port(body: str) -> tuple[str, str, str]:
    parts = body.split(":")
    if len(parts) == 1:
        return "", "", body
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _address(host: str) -> str:
    import ipaddress

    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise ValueError(f"invalid IP address: {host}") from None
    return text


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = []
    for word in (first, last if dash else first):
        if not word.isascii() or not word.isdigit() or int(word) > 65_535:
            raise ValueError(f"invalid {what}: {text}")
        numbers.append(int(word))
    if numbers[0] > numbers[1]:
        raise ValueError(f"invalid {what}: {text}")
    return numbers[0], numbers[1]


def device(spec: str) -> dict[str, Any]:
    """The long form of ``SOURCE[:TARGET[:PERMISSIONS]]``. Raises ValueError."""
    parts = spec.split(":")
    if len(parts) > 3:
        raise ValueError(f"confusing device mapping, please use long syntax: {spec}")
    return {
        "source": parts[0],
        "target": parts[1] if len(parts) > 1 else parts[0],
        "permissions": parts[2] if len(parts) > 2 else "rwm",
    }
