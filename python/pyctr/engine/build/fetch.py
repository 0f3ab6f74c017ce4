"""Sources from elsewhere: files of the web and checkouts of git, as snapshots of one layer (docs/build-execute.md, "Sources")."""

from __future__ import annotations

import os
from hashlib import sha256

from pyctr._core import SourceTree, json_dumps, json_loads, write_atomic
from pyctr.engine.build import git
from pyctr.engine.build.carry import clamp_of, pack, times_key
from pyctr.engine.build.keys import key_of
from pyctr.engine.build.layers import Snapshot
from pyctr.engine.build.scratch import Changes
from pyctr.engine.build.values import Value
from pyctr.errors import BuildError
from pyctr.image import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    from pyctr.build.plan.step import GitSource, HttpSource, Step
    from pyctr.engine.build.execute import Executor

_TIMEOUT_S = 60
_PIECE_BYTES = 1 << 18
_MODE = 0o600


class Fetched:
    """A file that came: its digest, what the server said of it, None where it said that it is the one we know."""

    __slots__ = ("digest", "etag", "modified", "modified_s")

    def __init__(self, digest: str, headers: Any) -> None:
        from email.utils import parsedate_to_datetime

        self.digest = digest
        self.etag = headers.get("ETag") or ""
        self.modified = headers.get("Last-Modified") or ""
        try:
            self.modified_s = int(parsedate_to_datetime(self.modified).timestamp()) if self.modified else None
        except ValueError:
            self.modified_s = None


def fetch_http(executor: Executor, step: HttpSource) -> Value:
    """One file of the web. What the server says is unchanged is not fetched again."""
    base = Value(Snapshot(), epoch_s=executor.epoch_of({}))

    def key(digest: str, modified_s: int | None) -> str:
        times = str(modified_s) if executor.keeps_times else times_key(executor, base)
        return key_of("http", step.file_name, digest, times)

    if step.checksum and not executor.keeps_times:
        record = executor.cached(step, key(step.checksum, None))
        if record is not None:
            return executor.hit(step, base, record)
    known = _known(executor, step)

    def work() -> Value:
        with Changes(executor.scratch, base.snapshot.directories(executor.store)) as changes:
            path = f"{changes.upper}/{step.file_name}"
            fetched = _download(executor, step, path, known)
            if fetched is None:
                _check_digest(step, known["digest"])
                record = executor.cached(step, known["key"])
                layer = record.layer if record is not None else None
                return Value(Snapshot() + layer, epoch_s=base.epoch_s, layer=layer)
            _check_digest(step, fetched.digest)
            os.chmod(path, _MODE)
            if fetched.modified_s is not None:
                os.utime(path, (fetched.modified_s, fetched.modified_s))
            name = key(fetched.digest, fetched.modified_s)
            layer = _keep(executor, step, changes, base, name, kind="source.http")
            _remember_answer(executor, step, fetched, name)
            return Value(Snapshot() + layer, epoch_s=base.epoch_s, layer=layer)

    return executor.done(step, work)


def _check_digest(step: HttpSource, digest: str) -> None:
    if step.checksum and digest != step.checksum:
        raise BuildError(f"digest mismatch {digest}: {step.checksum}")


def _keep(executor: Executor, step: Step, changes: Changes, base: Value, key: str, *, kind: str) -> Any:
    with write.adding(executor.store):
        layer = pack(executor, changes.upper, changes.lower, base)
        executor.remember(key, layer, step, kind=kind)
    return layer


def _answers_path(executor: Executor, step: HttpSource) -> str:
    directory = f"{executor.store.root}/build/http"
    os.makedirs(directory, 0o700, exist_ok=True)
    return f"{directory}/{sha256(step.url.encode()).hexdigest()}.json"


def _known(executor: Executor, step: HttpSource) -> dict[str, str]:
    """What a server said of an address before, if what came then is still there."""
    try:
        with open(_answers_path(executor, step), "rb") as file:
            answer = json_loads(file.read())
        known = {name: str(answer[name]) for name in ("etag", "modified", "key", "digest")}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return known if executor.cached(step, known["key"]) is not None else {}


def _remember_answer(executor: Executor, step: HttpSource, fetched: Fetched, key: str) -> None:
    if fetched.etag or fetched.modified:
        answer = {"etag": fetched.etag, "modified": fetched.modified, "key": key, "digest": fetched.digest}
        write_atomic(_answers_path(executor, step), json_dumps(answer), sync=False)


def _download(executor: Executor, step: HttpSource, path: str, known: dict[str, str]) -> Fetched | None:
    """Fetch into a file; None: nothing changed since `known`."""
    headers = {}
    if known.get("etag"):
        headers["If-None-Match"] = known["etag"]
    elif known.get("modified"):
        headers["If-Modified-Since"] = known["modified"]

    def tell(done: int, total: int) -> None:
        executor.cancelled.check()
        executor.report.status(step.key, "downloading", current=done, total=total)

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        return download(step.url, file, headers=headers, tell=tell)


def download(
    url: str, file: BinaryIO, *, headers: dict[str, str] | None = None, tell: Callable[[int, int], None]
) -> Fetched | None:
    """Fetch an http or https address into a file; None if the server says 304. Raises BuildError."""
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise BuildError(f"download {url}: not an http or https address")
    request = urllib.request.Request(url, headers={"User-Agent": "pyctr", **(headers or {})})  # noqa: S310 - checked
    digest = sha256()
    total = 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - checked
            length = response.headers.get("Content-Length") or ""
            expected = int(length) if length.isdigit() else 0
            while data := response.read(_PIECE_BYTES):
                file.write(data)
                digest.update(data)
                total += len(data)
                tell(total, expected)
            if expected and total != expected:
                raise BuildError(f"download {url}: {total} bytes came, expected {expected}")
            return Fetched("sha256:" + digest.hexdigest(), response.headers)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return None
        raise BuildError(f"invalid response status {error.code} for {url}") from None
    except OSError as error:
        raise BuildError(f"download {url}: {getattr(error, 'reason', error)}") from None


def fetch_git(executor: Executor, step: GitSource) -> Value:
    """A checkout, by its commit."""
    base = Value(Snapshot(), epoch_s=executor.epoch_of({}))
    commit = git.resolve_checked(step.remote, step.reference, step.checksum)
    kept = (str(step.keep_git_dir), step.remote if step.keep_git_dir else "", str(step.submodules))
    parts = (commit, step.subdirectory, *kept)
    key = key_of("git", *parts, times_key(executor, base))
    record = executor.cached(step, key)
    if record is not None:
        return executor.hit(step, base, record)

    def work() -> Value:
        checkout = executor.scratch.directory(0o755)
        output = _teller(executor, step)
        git.check_out(step.remote, step.reference, commit, checkout, submodules=step.submodules, output=output)
        skip = [] if step.keep_git_dir else git.metadata_of(checkout)
        with Changes(executor.scratch, base.snapshot.directories(executor.store)) as changes:
            tree = SourceTree(checkout, skip=skip, anonymous=True)
            tree.copy(step.subdirectory or "/", changes.root, "/", mtime=clamp_of(executor, base))
            layer = _keep(executor, step, changes, base, key, kind="source.git.checkout")
        return Value(Snapshot() + layer, epoch_s=base.epoch_s, layer=layer)

    return executor.done(step, work)


def _teller(executor: Executor, step: Step) -> Callable[[bytes], None]:
    return lambda data: executor.report.log(step.key, 2, data)
