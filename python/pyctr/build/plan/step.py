"""The steps of a build: a graph whose edges are file systems.

A step reads the file systems of its `inputs` and yields one of its own. Sources have no inputs. `Run`, `Copy` and `MakeDirectory` have a
`base`, which is their first input, and add one layer to it. A step says what is done, never what came of it: `definition` is the digest of
its own fields alone, `key` that of the whole graph below it; what the bytes of a context or an image are, the executor adds to that
(docs/build.md, "Keys"). Steps are made once and never changed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.lint.rules import Finding


class Frozen:
    """Every slot is set once."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"{type(self).__name__}.{name} is set already")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names() if hasattr(self, name))
        return f"{type(self).__name__}({fields})"

    def _names(self) -> list[str]:
        return [name for kind in reversed(type(self).__mro__) for name in getattr(kind, "__slots__", ())]


class Where(Frozen):
    """Which Dockerfile line a step comes from, and how it is called on the way: `[build 2/5] RUN make`."""

    __slots__ = ("first_line", "last_line", "name", "number", "stage", "total")

    def __init__(
        self, stage: str, name: str, *, first_line: int, last_line: int, number: int = 0, total: int = 0
    ) -> None:
        #: The stage's name, `stage-0` if it has none.
        self.stage = stage
        #: The whole name as progress shows it.
        self.name = name
        #: Lines of the Dockerfile, the first is 1; 0 where there is no line.
        self.first_line = first_line
        self.last_line = last_line
        #: Which of how many steps of its stage; 0 if it is not counted.
        self.number = number
        self.total = total


class Step(Frozen):
    """One vertex. Equal steps have equal keys; a plan holds each key once."""

    __slots__ = ("_definition", "_key", "ignore_cache", "inputs", "platform", "where")

    def __init__(self, inputs: tuple[Step, ...], *, where: Where, platform: str, ignore_cache: bool = False) -> None:
        self.inputs = inputs
        self.where = where
        #: `os/arch[/variant]` of the file system that comes out.
        self.platform = platform
        #: `--no-cache`, `--no-cache-filter`: carried out even if its result is at hand.
        self.ignore_cache = ignore_cache

    @property
    def kind(self) -> str:
        """`run`, `copy`, `image` …"""
        return type(self).__name__.lower()

    def _fields(self) -> dict[str, Any]:
        """What the step does, without its inputs: what makes two steps the same, as JSON has it."""
        raise NotImplementedError

    @property
    def definition(self) -> str:
        """Digest of the step's own fields (BuildKit's definition key)."""
        if not hasattr(self, "_definition"):
            self._definition = _digest({"kind": self.kind, "platform": self.platform, **self._fields()})
        return self._definition

    @property
    def key(self) -> str:
        """Digest of the step and of everything below it, before anything is known of content."""
        if not hasattr(self, "_key"):
            self._key = _digest([self.definition, *(step.key for step in self.inputs)])
        return self._key


class Scratch(Step):
    """An empty file system."""

    __slots__ = ()

    def __init__(self, *, where: Where, platform: str) -> None:
        super().__init__((), where=where, platform=platform)

    def _fields(self) -> dict[str, Any]:
        return {}


class ImageSource(Step):
    """The layers of an image. `config_digest` is what the reference was resolved to, "" if that is still to be done (`COPY --from`).

    `near` is a stage whose name is nearly the reference's, for the message that there is no such image.
    """

    __slots__ = ("config_digest", "near", "reference")

    def __init__(self, reference: str, *, config_digest: str, where: Where, platform: str, near: str = "") -> None:
        super().__init__((), where=where, platform=platform)
        self.reference = reference
        self.config_digest = config_digest
        self.near = near

    def _fields(self) -> dict[str, Any]:
        # An image is its content: under another name it is the same image.
        return {"image": self.config_digest} if self.config_digest else {"reference": self.reference}


class LocalContext(Step):
    """Files of the machine the build runs on: the build context ("context") or one of `--build-context NAME=PATH`."""

    __slots__ = ("name",)

    def __init__(self, name: str, *, where: Where, platform: str) -> None:
        super().__init__((), where=where, platform=platform)
        self.name = name

    def _fields(self) -> dict[str, Any]:
        return {"context": self.name}


class HttpSource(Step):
    """One file from the web: `/FILE_NAME`, owned by root, mode 0600, with the Last-Modified of the server."""

    __slots__ = ("checksum", "file_name", "url")

    def __init__(
        self, url: str, *, file_name: str, checksum: str, where: Where, platform: str, ignore_cache: bool = False
    ) -> None:
        super().__init__((), where=where, platform=platform, ignore_cache=ignore_cache)
        self.url = url
        self.file_name = file_name
        #: `sha256:HEX`, or "".
        self.checksum = checksum

    def _fields(self) -> dict[str, Any]:
        return {"url": self.url, "file_name": self.file_name, "checksum": self.checksum}


class GitSource(Step):
    """A checkout. `reference` is a branch, tag, `refs/…` or commit, "" for the remote's HEAD; `checksum` is the commit it must be, or ""."""

    __slots__ = ("checksum", "keep_git_dir", "reference", "remote", "subdirectory", "submodules")

    def __init__(
        self, remote: str, *, reference: str, subdirectory: str, keep_git_dir: bool, checksum: str, where: Where, platform: str,
        submodules: bool = True, ignore_cache: bool = False,
    ) -> None:  # fmt: skip
        super().__init__((), where=where, platform=platform, ignore_cache=ignore_cache)
        self.remote = remote
        self.reference = reference
        self.subdirectory = subdirectory
        self.keep_git_dir = keep_git_dir
        self.checksum = checksum
        self.submodules = submodules

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in GitSource.__slots__}


class InlineFiles(Step):
    """Files whose content stands in the Dockerfile (here-documents): name → content; mode 0644 unless said, owner root."""

    __slots__ = ("files", "mode")

    def __init__(self, files: tuple[tuple[str, str], ...], *, mode: int = 0o644, where: Where, platform: str) -> None:
        super().__init__((), where=where, platform=platform)
        self.files = files
        self.mode = mode

    def _fields(self) -> dict[str, Any]:
        return {"files": [list(file) for file in self.files], "mode": self.mode}


class Mount(Frozen):
    """One `RUN --mount`. `source_step` is the file system a bind shows, or a cache starts from; None for the others."""

    __slots__ = (
        "environment", "gid", "identity", "kind", "mode", "read_only", "required", "sharing", "size_bytes", "source", "source_step",
        "target", "uid",
    )  # fmt: skip

    def __init__(
        self, kind: str, *, target: str, source_step: Step | None = None, source: str = "/", read_only: bool = False, identity: str = "",
        sharing: str = "shared", required: bool = False, mode: int | None = None, uid: int | None = None, gid: int | None = None,
        size_bytes: int = 0, environment: str = "",
    ) -> None:  # fmt: skip
        #: bind, cache, tmpfs, secret, ssh.
        self.kind = kind
        #: Absolute; "" for a secret that is an environment variable only.
        self.target = target
        self.source_step = source_step
        #: Path in `source_step`; may be a file.
        self.source = source
        #: A bind without `rw` is read-only; what is written to one with it is thrown away.
        self.read_only = read_only
        #: Cache: its `id` (the target if not given); secret, ssh: their id.
        self.identity = identity
        #: Cache: shared, private, locked.
        self.sharing = sharing
        #: Secret, ssh: the build fails if it is not there; otherwise nothing is mounted.
        self.required = required
        #: Cache directory, secret file, ssh socket; None: BuildKit's (0755, 0400, 0600; 0:0).
        self.mode = mode
        self.uid = uid
        self.gid = gid
        #: tmpfs; 0: no limit.
        self.size_bytes = size_bytes
        #: Secret: the name of the variable that holds it.
        self.environment = environment

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Mount.__slots__ if name != "source_step"}


class Run(Step):
    """A command in a container on `base`; what it changes is the layer. Inputs: `base`, then the mounts' steps in order."""

    __slots__ = (
        "arguments",
        "base",
        "environment",
        "mounts",
        "network",
        "secret_environment",
        "security",
        "user",
        "working_directory",
    )

    def __init__(
        self, base: Step, arguments: tuple[str, ...], *, environment: tuple[str, ...], secret_environment: tuple[str, ...], user: str,
        working_directory: str, mounts: tuple[Mount, ...], network: str, security: str, where: Where, platform: str, ignore_cache: bool,
    ) -> None:  # fmt: skip
        inputs = (base, *(mount.source_step for mount in mounts if mount.source_step is not None))
        super().__init__(inputs, where=where, platform=platform, ignore_cache=ignore_cache)
        self.base = base
        #: What is executed, shell and all.
        self.arguments = arguments
        #: `NAME=value`: ENV and ARG that are visible here.
        self.environment = environment
        #: `NAME=value` that no key may depend on: proxy arguments (http_proxy …).
        self.secret_environment = secret_environment
        #: As USER has it, "" for root; looked up in `base`.
        self.user = user
        self.working_directory = working_directory
        self.mounts = mounts
        #: default, none, host.
        self.network = network
        #: sandbox, insecure (needs consent: `--allow security.insecure`).
        self.security = security

    def _fields(self) -> dict[str, Any]:
        names = ("arguments", "environment", "user", "working_directory", "network", "security")
        return {**{name: getattr(self, name) for name in names}, "mounts": [mount._fields() for mount in self.mounts]}


class CopyItem(Frozen):
    """What is taken from one file system. Patterns are paths in `source_step`, absolute and clean, with wildcards of Go's filepath.Match.

    With `--parents`, `pattern` is what stands before `/./` (else `/`) and `pivot` the rest, a pattern relative to that whose path is kept
    below the destination. `written` is the source as the Dockerfile has it, for messages (`..` above the root is gone from `pattern`).
    """

    __slots__ = ("pattern", "pivot", "source_step", "unpack", "wildcard", "written")

    def __init__(
        self, source_step: Step, pattern: str, *, wildcard: bool, unpack: bool, pivot: str = "", written: str = ""
    ) -> None:
        self.source_step = source_step
        self.pattern = pattern
        #: Wildcards are looked for (not in here-documents, URLs and git); nothing found is an error.
        self.wildcard = wildcard
        #: An archive found here is unpacked instead of copied (ADD of local files, `--unpack`).
        self.unpack = unpack
        self.pivot = pivot
        self.written = written or pattern

    def _fields(self) -> dict[str, Any]:
        names = ("pattern", "pivot", "unpack", "wildcard")
        return {name: getattr(self, name) for name in names}


class Copy(Step):
    """COPY or ADD: `items` one after the other onto `base` at `destination`. Inputs: `base`, then the items' steps in order.

    With `link` the layer is made on nothing and put on `base` (no link of `base` is followed, the result does not depend on it).
    """

    __slots__ = (
        "base",
        "destination",
        "destination_is_directory",
        "exclude",
        "items",
        "link",
        "mode",
        "owner",
        "parents",
        "times",
    )

    def __init__(
        self, base: Step, items: tuple[CopyItem, ...], *, destination: str, destination_is_directory: bool, owner: str, mode: str,
        link: bool, parents: bool, exclude: tuple[str, ...], where: Where, platform: str, ignore_cache: bool,
    ) -> None:  # fmt: skip
        super().__init__(
            (base, *(item.source_step for item in items)), where=where, platform=platform, ignore_cache=ignore_cache
        )
        self.base = base
        self.items = items
        #: Absolute and clean, no trailing slash but the root's own.
        self.destination = destination
        #: It was written with a trailing slash or `.`, or there are several sources.
        self.destination_is_directory = destination_is_directory
        #: `--chown`: "user[:group]", names looked up in `base`; "": 0:0 (BuildKit copies ids of --from as they are: executor's rule).
        self.owner = owner
        #: `--chmod`: octal ("755") or symbolic ("u=rwX,go=rX"); "": as the source has it.
        self.mode = mode
        self.link = link
        self.parents = parents
        #: Patterns of .dockerignore's kind, relative to each source.
        self.exclude = exclude

    def _fields(self) -> dict[str, Any]:
        names = ("destination", "destination_is_directory", "owner", "mode", "link", "parents", "exclude")
        return {**{name: getattr(self, name) for name in names}, "items": [item._fields() for item in self.items]}


class MakeDirectory(Step):
    """WORKDIR: the directory and its parents, mode 0755, unless they are there; `owner` is USER, "" for root."""

    __slots__ = ("base", "owner", "path")

    def __init__(self, base: Step, path: str, *, owner: str, where: Where, platform: str, ignore_cache: bool) -> None:
        super().__init__((base,), where=where, platform=platform, ignore_cache=ignore_cache)
        self.base = base
        self.path = path
        self.owner = owner

    def _fields(self) -> dict[str, Any]:
        return {"path": self.path, "owner": self.owner}


class Result(Frozen):
    """One image to be: the file system of `step`, and the config that goes with it.

    `config` is a whole image config but for `rootfs`; `history` holds the base image's entries and the build's own. Those without
    `empty_layer` belong, in order, to the layers of the base image and then to the steps of `layers`.
    """

    __slots__ = ("config", "layers", "platform", "step")

    def __init__(self, step: Step, *, layers: tuple[Step, ...], config: dict[str, Any], platform: str) -> None:
        self.step = step
        #: The steps of this stage and of the stages it is FROM that add a layer, base first.
        self.layers = layers
        self.config = config
        self.platform = platform


class Plan(Frozen):
    """What a build does: `steps` in an order in which each comes after its inputs, and the images asked for, one a platform."""

    __slots__ = ("findings", "refusal", "results", "steps")

    def __init__(self, results: tuple[Result, ...], *, findings: tuple[Finding, ...] = (), refusal: str = "") -> None:
        self.results = results
        self.steps = _ordered([result.step for result in results])
        #: What could be better in the Dockerfile; `refusal` is why it is not built because of that (`# check=error=true`).
        self.findings = findings
        self.refusal = refusal


def _ordered(targets: list[Step]) -> tuple[Step, ...]:
    """Every step below the targets once (by key), inputs first."""
    seen: dict[str, Step] = {}
    stack: list[tuple[Step, bool]] = [(step, False) for step in reversed(targets)]
    while stack:
        step, ready = stack.pop()
        if step.key in seen:
            continue
        if ready:
            seen[step.key] = step
        else:
            stack.append((step, True))
            stack.extend((below, False) for below in reversed(step.inputs))
    return tuple(seen.values())


def _digest(value: Any) -> str:
    from pyctr._core import json_dumps, sha256

    return f"sha256:{sha256(json_dumps(value))}"
