"""RUN: the command, its here-documents, its mounts."""

from __future__ import annotations

import posixpath

from pyctr.build.dockerfile.lexer import parse_here_document
from pyctr.build.dockerfile.suggest import did_you_mean
from pyctr.build.plan.arguments import proxy_environment
from pyctr.build.plan.config import clean_directory
from pyctr.build.plan.step import InlineFiles, Mount, Run, Scratch, Where
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.dockerfile import commands
    from pyctr.build.dockerfile.lexer import Instruction
    from pyctr.build.plan.stage import StagePlan
    from pyctr.build.plan.step import Step

#: Where BuildKit puts a script that a here-document is.
_SCRIPTS = "/dev/pipes"
_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_KEYS = {
    "type": "type", "from": "from", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "ro", "ro": "ro", "readwrite": "rw", "rw": "rw", "required": "required", "size": "size", "id": "id", "sharing": "sharing",
    "mode": "mode", "uid": "uid", "gid": "gid", "env": "env",
}  # fmt: skip
#: Key → kinds of mount that take it; any kind, if it is not here.
_ONLY = {
    "required": ("secret", "ssh"), "size": ("tmpfs",), "sharing": ("cache",), "env": ("secret",), "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"), "gid": ("cache", "secret", "ssh"), "from": ("bind", "cache"), "id": ("cache", "secret", "ssh"),
}  # fmt: skip
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def apply_run(plan: StagePlan, command: commands.Run) -> None:
    """Add a Run step. Raises BuildError."""
    source = command.source
    mounts = [plan_mount(plan, command, text) for text in command.mounts]
    words, summary = list(command.words), ""
    if command.documents:
        words, script, summary = _with_documents(plan, command)
        mounts += [script] if script else []
    arguments = [*plan.config.shell, " ".join(words)] if command.shell else words
    where = plan.where(source, plan.shown(source, keep_quotes=True, more=summary), on_build=command.on_build)
    request = plan.scope.request
    _check_rights(plan, command)
    step = Run(
        plan.step,
        tuple(arguments),
        environment=tuple(f"{name}={value}" for name, value in plan.environment.items()),
        secret_environment=proxy_environment(request.build_args),
        user=plan.config.run.get("User", ""),
        working_directory=plan.directory,
        mounts=tuple(mounts),
        network=request.network if command.network == "default" else command.network,
        security=command.security,
        where=where,
        platform=plan.platform,
        ignore_cache=plan.ignore_cache,
    )
    plan.add_layer(step)
    seen = [f"{name}={plan.environment.get(name, value)}" for name, value in plan.arguments.items()]
    shown = [f"|{len(seen)}", *seen] if seen else []
    plan.config.note(f"RUN {' '.join([*shown, *arguments])} # buildkit", layer=True)


def _check_rights(plan: StagePlan, command: commands.Run) -> None:
    """What reaches beyond the container needs the caller's consent (`--allow`)."""
    request, source = plan.scope.request, command.source
    needed = []
    if command.network == "host" and request.network != "host":
        needed.append(("network.host", "network"))
    if command.security == "insecure":
        needed.append(("security.insecure", "security"))
    for right, name in needed:
        if right not in request.allow:
            offset = next(flag.offset for flag in source.flags if flag.name == name)
            raise source.error(f"{right} is not allowed", offset=offset, hint=f"allow it with --allow {right}")


def _with_documents(plan: StagePlan, command: commands.Run) -> tuple[list[str], Mount | None, str]:
    """The command with its here-documents, the mount of a script, and what progress shows of it."""
    source = command.source
    if len(command.words) != 1 or not command.shell:
        raise source.error("parsing produced an invalid run command")
    line, documents = command.words[0], command.documents
    if parse_here_document(line) is None:
        # The shell is given the here-documents as they stand.
        text = line + "".join(f"\n{document.content}{document.name}" for document in documents)
        return [text], None, ""
    document = documents[0]
    first, *more = document.content.strip().replace("\r\n", "\n").split("\n")
    summary = f" ({first}{'...' if more else ''})"
    if not document.text.startswith("#!"):
        return [document.text], None, summary
    where = Where(plan.name, "preparing inline document", first_line=source.first_line, last_line=source.last_line)
    files = InlineFiles(((document.name, document.text),), mode=0o755, where=where, platform=plan.platform)
    mount = Mount("bind", target=_SCRIPTS, source_step=files, read_only=True)
    return [f"{_SCRIPTS}/{document.name}"], mount, summary


def plan_mount(plan: StagePlan, command: commands.Run, text: str) -> Mount:
    """One `--mount`. Raises BuildError at the flag."""
    source = command.source
    offset = next((flag.offset for flag in source.flags if flag.value == text), source.rest_offset)
    try:
        values = read_mount(plan, source, text)
        return _make_mount(plan, command, values)
    except InvalidArgument as error:
        raise source.error(str(error), offset=offset, hint=error.hint) from None


def read_mount(plan: StagePlan, source: Instruction, text: str) -> dict[str, str]:
    """Keys and expanded values, each key once under its first name; the last one given counts. Raises InvalidArgument."""
    import csv

    values: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        key, equals, value = field.partition("=")
        name = _KEYS.get(key.lower())
        if name is None:
            raise InvalidArgument(f"unexpected key '{key.lower()}' in '{field}'{did_you_mean(key, _KEYS)}")
        if not equals:
            if name not in ("ro", "rw", "required"):
                raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        elif name == "from" and "$" in value[:-1]:
            raise InvalidArgument("'from' doesn't support variable expansion, define alias stage instead")
        else:
            value = plan.lexer.expand(value, plan.environment)
            plan.note_missing(source, plan.lexer)
        if name == "rw":
            name, value = "ro", "false" if _boolean(key, value) else "true"
        values[name] = value
    kind = values.setdefault("type", "bind").lower()
    if kind not in _KINDS:
        raise InvalidArgument(f'unsupported mount type "{kind}"{did_you_mean(kind, _KINDS)}')
    values["type"] = kind
    for name in values:
        if kind not in _ONLY.get(name, _KINDS):
            raise InvalidArgument(f"unexpected key '{name}' for mount type '{kind}'")
    return values


def _make_mount(plan: StagePlan, command: commands.Run, values: dict[str, str]) -> Mount:
    kind = values["type"]
    mode, uid, gid = _number(values, "mode", base=8), _number(values, "uid"), _number(values, "gid")
    read_only = _boolean("readonly", values["ro"]) if "ro" in values else kind == "bind"
    required = _boolean("required", values["required"]) if "required" in values else False
    if kind in ("secret", "ssh"):
        return _credential(plan, values, mode=mode, uid=uid, gid=gid, required=required)
    target = _target(plan, values.get("target", ""))
    if target == "/":
        raise InvalidArgument(f'invalid mount target "{values.get("target", "")}"')
    if kind == "tmpfs":
        return Mount(kind, target=target, read_only=read_only, size_bytes=_size(values.get("size", "0")))
    origin = values.get("from", "")
    step: Step | None = None
    if kind == "bind" or origin not in ("", "scratch"):
        step = plan.scope.find_source(origin, command.source, plan) if origin != "scratch" else _scratch(plan)
    sharing = values.get("sharing", "shared").lower()
    if sharing not in _SHARING:
        raise InvalidArgument(f'unsupported sharing value "{sharing}"{did_you_mean(sharing, _SHARING)}')
    inner = posixpath.normpath("/" + values.get("source", "").lstrip("/"))
    if kind == "bind":
        return Mount(kind, target=target, source_step=step, source=inner, read_only=read_only)
    return Mount(
        kind, target=target, source_step=step, source=inner, read_only=read_only, identity=values.get("id") or target, sharing=sharing,
        mode=mode, uid=uid, gid=gid,
    )  # fmt: skip


def _scratch(plan: StagePlan) -> Scratch:
    where = Where(plan.name, "scratch", first_line=0, last_line=0)
    return Scratch(where=where, platform=plan.platform)


def _credential(
    plan: StagePlan, values: dict[str, str], *, mode: int | None, uid: int | None, gid: int | None, required: bool
) -> Mount:
    """A secret or an agent's socket; where it is put by default is BuildKit's."""
    kind, target, environment = values["type"], values.get("target", ""), values.get("env", "")
    if kind == "ssh":
        identity = values.get("id") or values.get("source") or "default"
        target = _target(plan, target) if target else ""
        return Mount(kind, target=target, identity=identity, required=required, mode=mode, uid=uid, gid=gid)
    if values.get("source") and values.get("id"):
        raise InvalidArgument("both source and id can't be set")
    identity = values.get("id") or values.get("source") or ""
    if not identity and not target:
        raise InvalidArgument("invalid secret mount. one of source, target required")
    identity = identity or posixpath.basename(target)
    if target:
        target = _target(plan, target)
    elif not environment:
        target = f"/run/secrets/{posixpath.basename(identity)}"
    return Mount(
        kind, target=target, identity=identity, required=required, mode=mode, uid=uid, gid=gid, environment=environment, read_only=True
    )  # fmt: skip


def _target(plan: StagePlan, path: str) -> str:
    if not path:
        raise InvalidArgument("mount target is required")
    return clean_directory(plan.directory, path)


def _boolean(name: str, text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidArgument(f"invalid value for {name}: {text}")


def _number(values: dict[str, str], name: str, *, base: int = 10) -> int | None:
    if name not in values:
        return None
    text = values[name]
    if text.isascii() and text.isdigit():
        try:
            number = int(text, base)
        except ValueError:
            number = -1
        if 0 <= number < 1 << 32:
            return number
    raise InvalidArgument(f"invalid value {text} for {name}")


def _size(text: str) -> int:
    """Bytes, with units of 1024 (docker/go-units RAMInBytes)."""
    lowered = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = lowered[-1:] if lowered[-1:] in _UNITS else ""
    number = lowered.removesuffix(unit).strip()
    try:
        size = float(number) * _UNITS[unit]
    except ValueError:
        raise InvalidArgument(f"invalid value for size: {text}") from None
    if not 0 <= size < 1 << 63:
        raise InvalidArgument(f"invalid value for size: {text}")
    return int(size)
