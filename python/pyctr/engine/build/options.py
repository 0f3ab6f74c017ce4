"""Options of `build`, as docker build and docker buildx build have them, to a Request. What cannot work is refused by name."""

from __future__ import annotations

import os
import stat

from pyctr.build.request import Agent, Request, Secret, Typed
from pyctr.engine.options.resources import parse_ulimit
from pyctr.engine.options.units import parse_size_flag
from pyctr.errors import InvalidArgument
from pyctr.image.manifest import parse_platform
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Limits that go to the containers of RUN as they are.
_LIMITS = ("cpu_period", "cpu_quota", "cpu_shares", "cpuset_cpus", "cpuset_mems", "memory", "memory_swap")
_OUTPUTS = ("image", "local", "tar", "oci", "docker", "registry", "cacheonly")
_RIGHTS = ("network.host", "security.insecure")
#: What `--cache-to` and `--cache-from` know, and which values of it; none: any value.
_EXPORT_KEYS: dict[str, tuple[str, ...]] = {
    "mode": ("min", "max"), "mounts": ("true", "false"), "ignore-error": ("true", "false"),
    "image-manifest": ("true",), "oci-mediatypes": ("true",),
}  # fmt: skip
_CACHE_KEYS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("cache-to", "registry"): {"ref": (), **_EXPORT_KEYS},
    ("cache-to", "local"): {"dest": (), "tag": (), **_EXPORT_KEYS},
    ("cache-to", "inline"): {"mode": ("min",)},
    ("cache-from", "registry"): {"ref": ()},
    ("cache-from", "local"): {"src": (), "tag": (), "digest": ()},
}
_NO = ("", "false", "0", "f", "F", "False", "FALSE")


def parse_request(options: dict[str, Any], *, context: str, environment: Mapping[str, str], **more: Any) -> Request:
    """A Request of options by long name. `more` are fields that were found out elsewhere. Raises InvalidArgument."""
    refuse_impossible(options)
    build_args = _build_args(options.get("build_arg", []), environment)
    limits = {name: options[name] for name in _LIMITS if name in options}
    for text in options.get("ulimit", []):
        parse_ulimit(text)
    return Request(
        context=context,
        contexts=_contexts(options.get("build_context", [])),
        build_args=build_args,
        labels=dict(text.partition("=")[::2] for text in options.get("label", [])),
        annotations=_annotations(options.get("annotation", [])),
        target=options.get("target", ""),
        platforms=_platforms(options.get("platform", [])),
        no_cache=options.get("no_cache", False),
        no_cache_filter=_separated(options.get("no_cache_filter", [])),
        pull=options.get("pull", False),
        tags=tuple(_tag(text) for text in options.get("tag", [])),
        outputs=parse_outputs(options),
        cache_from=tuple(parse_cache(text, "cache-from") for text in options.get("cache_from", [])),
        cache_to=tuple(parse_cache(text, "cache-to") for text in options.get("cache_to", [])),
        secrets=parse_secrets(options.get("secret", []), environment),
        ssh=parse_agents(options.get("ssh", []), environment),
        network="default" if options.get("network") in (None, "", "bridge") else options["network"],
        add_hosts=tuple(_host(text) for text in options.get("add_host", [])),
        ulimits=tuple(options.get("ulimit", [])),
        shm_size_bytes=parse_size_flag(options["shm_size"], "--shm-size") if options.get("shm_size") else 0,
        limits=limits,
        cgroup_parent=options.get("cgroup_parent", ""),
        allow=_rights(options.get("allow", [])),
        source_date_epoch=_epoch(build_args, environment),
        timestamp=options.get("timestamp", ""),
        **more,
    )


def refuse_impossible(options: dict[str, Any]) -> None:
    """Options that Docker has and pyctr has not. Raises InvalidArgument."""
    for name in ("attest", "security_opt", "squash"):
        if options.get(name):
            raise InvalidArgument(f"--{name.replace('_', '-')} is not supported by build")
    for name in ("provenance", "sbom"):
        if options.get(name, "") not in _NO:
            raise InvalidArgument(
                f"--{name} is not supported: builds have no attestations", hint=f"--{name}=false is what there is"
            )
    if options.get("isolation", "") not in ("", "default"):
        raise InvalidArgument("--isolation is not supported on Linux")
    if options.get("builder", "") not in ("", "default"):
        raise InvalidArgument(f'no builder "{options["builder"]}" found: there is one, default')
    if options.get("rm") is False:
        raise InvalidArgument("--rm=false is not supported: containers of RUN are always removed")
    if options.get("call", "build") not in ("", "build", "check"):
        raise InvalidArgument(f"--call {options['call']} is not supported: build or check")
    if options.get("timestamp", "now") != "now" and not str(options["timestamp"]).isdigit():
        raise InvalidArgument(f"invalid --timestamp {options['timestamp']}: seconds since 1970, or now")


def _build_args(texts: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME=value`; a name alone takes the environment's value, or none at all."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise InvalidArgument(f'invalid --build-arg "{text}": it has no name')
        if equals or name in environment:
            values[name] = value if equals else environment[name]
    return values


def _contexts(texts: list[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InvalidArgument(f"invalid context value: {text}, expected key=value")
        if value.startswith("docker-image://"):
            parse_reference(value.removeprefix("docker-image://"))
        elif value.startswith(("oci-layout://", "target:")):
            raise InvalidArgument(f"--build-context {text}: {value.partition(':')[0]} is not supported")
        elif "://" not in value and not value.startswith(("git@", "github.com/")):
            if not os.path.isdir(value):
                raise InvalidArgument(f"failed to get build context {name}: {value} is not a directory")
            value = os.path.realpath(value)
        values[name] = value
    return values


def _annotations(texts: list[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, equals, value = text.removeprefix("manifest:").partition("=")
        if not equals or not name:
            raise InvalidArgument(f'invalid annotation "{text}", expected key=value')
        if name.startswith(("index:", "index-descriptor:", "manifest-descriptor:", "manifest[")):
            raise InvalidArgument(f'annotation "{text}": only those of manifests are supported')
        values[name] = value
    return values


def _separated(texts: list[str]) -> tuple[str, ...]:
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _platforms(texts: list[str] | str) -> tuple[str, ...]:
    given = _separated([texts] if isinstance(texts, str) else texts)
    return tuple(dict.fromkeys("/".join(part for part in parse_platform(text) if part) for text in given))


def _tag(text: str) -> str:
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidArgument(f'invalid tag "{text}": refusing to create a tag with a digest reference')
    return str(reference)


def _fields(text: str, flag: str) -> dict[str, str]:
    """`key=value,…`, quoted as CSV."""
    import csv

    values = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        if not equals:
            raise InvalidArgument(f"invalid --{flag} {text}: field '{field}' must be a key=value pair")
        values[name.strip().lower()] = value
    return values


def parse_outputs(options: dict[str, Any]) -> tuple[Typed, ...]:
    """`--output`, `--push`, `--load`. Raises InvalidArgument."""
    outputs = [_output(text) for text in options.get("output", [])]
    if options.get("push"):
        if any(output.kind not in ("image", "registry") for output in outputs):
            raise InvalidArgument("push and a different output cannot be used together")
        outputs = [Typed("registry", output.attributes) for output in outputs] or [Typed("registry", {})]
    if options.get("load"):
        outputs.append(Typed("docker", {}))
    return tuple(outputs)


def _output(text: str) -> Typed:
    if "=" not in text.partition(",")[0]:
        return Typed("tar", {"dest": "-"}) if text == "-" else Typed("local", {"dest": os.path.abspath(text)})
    values = _fields(text, "output")
    kind = values.pop("type", "")
    if kind not in _OUTPUTS:
        raise InvalidArgument(f'invalid --output "{text}": type is one of {", ".join(_OUTPUTS)}')
    if kind in ("local", "tar") and not values.get("dest"):
        raise InvalidArgument(f"dest is required for {kind} output")
    if values.get("dest", "-") != "-":
        values["dest"] = os.path.abspath(values["dest"])
    return Typed(kind, values)


def parse_cache(text: str, flag: str) -> Typed:
    """`--cache-from`, `--cache-to`: an image's name, or `type=…`. Raises InvalidArgument."""
    if "=" not in text:
        parse_reference(text)
        return Typed("registry", {"ref": text})
    values = _fields(text, flag)
    kind = values.pop("type", "")
    known = ("registry", "local", "inline") if flag == "cache-to" else ("registry", "local")
    if kind not in known:
        raise InvalidArgument(f'invalid --{flag} "{text}": type is one of {", ".join(known)}')
    for name, value in values.items():
        allowed = _CACHE_KEYS[flag, kind].get(name)
        if allowed is None or (allowed and value not in allowed):
            hint = ", ".join(_CACHE_KEYS[flag, kind]) if allowed is None else f"{name} is {' or '.join(allowed)}"
            raise InvalidArgument(f'invalid --{flag} "{text}": {name}={value} is not supported', hint=hint or None)
    needed = {"registry": "ref", "local": "src" if flag == "cache-from" else "dest"}.get(kind)
    if needed and not values.get(needed):
        raise InvalidArgument(f'invalid --{flag} "{text}": {needed} is missing')
    if needed in ("src", "dest"):
        values[needed] = os.path.abspath(values[needed])
    return Typed(kind, values)


def parse_secrets(texts: list[str], environment: Mapping[str, str]) -> dict[str, Secret]:
    """`--secret id=ID[,src=FILE][,env=NAME]`. Raises InvalidArgument; never shows a secret's content."""
    secrets = {}
    for text in texts:
        values = _fields(text, "secret")
        kind = values.pop("type", "")
        identity, path = values.pop("id", ""), values.pop("src", "") or values.pop("source", "")
        variable = values.pop("env", "")
        if values or kind not in ("", "file", "env"):
            raise InvalidArgument(f"invalid --secret: unexpected {next(iter(values), f'type {kind}')}")
        if not identity:
            raise InvalidArgument("invalid --secret: id is missing")
        if path and variable:
            raise InvalidArgument(f"invalid --secret {identity}: src and env exclude each other")
        if kind == "env" and path:
            path, variable = "", path
        if not path and not variable:
            variable, path = (
                (identity, "") if kind == "env" or (not kind and identity in environment) else ("", identity)
            )
        if variable and variable not in environment:
            raise InvalidArgument(f"secret {identity}: there is no variable {variable}")
        if path and not os.path.isfile(path):
            raise InvalidArgument(f"secret {identity}: {path}: no such file")
        secrets[identity] = Secret(identity, path=os.path.abspath(path) if path else "", variable=variable)
    return secrets


def parse_agents(texts: list[str], environment: Mapping[str, str]) -> dict[str, Agent]:
    """`--ssh default` (the agent of this session), `--ssh ID=SOCKET` or `ID=KEY,…`. Raises InvalidArgument."""
    agents = {}
    for text in texts:
        identity, _, value = text.partition("=")
        paths = [path for path in value.split(",") if path] or [environment.get("SSH_AUTH_SOCK", "")]
        if not paths[0]:
            raise InvalidArgument("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
        try:
            kinds = [stat.S_ISSOCK(os.stat(path).st_mode) for path in paths]
        except OSError as error:
            raise InvalidArgument(f"--ssh {identity}: {error.filename}: {(error.strerror or '').lower()}") from None
        if any(kinds) and len(paths) > 1:
            raise InvalidArgument(f"--ssh {identity}: invalid combination of keys and sockets")
        paths = [os.path.abspath(path) for path in paths]
        agents[identity] = Agent(identity, socket=paths[0]) if kinds[0] else Agent(identity, keys=tuple(paths))
    return agents


def _host(text: str) -> tuple[str, str]:
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not name or not address:
        raise InvalidArgument(f'bad format for add-host: "{text}"')
    return name, address


def _rights(texts: list[str]) -> frozenset[str]:
    rights = _separated(texts)
    for right in rights:
        if right not in _RIGHTS:
            raise InvalidArgument(f"unknown entitlement {right}: {' or '.join(_RIGHTS)}")
    return frozenset(rights)


def _epoch(build_args: Mapping[str, str], environment: Mapping[str, str]) -> int | None:
    text = build_args.get("SOURCE_DATE_EPOCH", environment.get("SOURCE_DATE_EPOCH", ""))
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {text}")
    return int(text)
