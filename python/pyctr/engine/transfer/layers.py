"""The pull pipeline: each layer downloaded, hashed, inflated, hashed and unpacked in one go, several side by side.

A thread reads the network into the partial blob's file; the core reads that file as it grows (docs/registry.md). A layer
gets its name when both digests agree; it is trusted across a power cut only once it has been synced, which its .json says.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from pyctr._core import (
    extract_growing_layer,
    json_dumps,
    remove_tree,
    write_atomic,
)
from pyctr.engine.transfer.parallel import side_by_side
from pyctr.engine.transfer.partial import Cancelled, Partial, layer_draft, locked
from pyctr.errors import CorruptData, KernelError, NotFound, PyctrError, RegistryError
from pyctr.image.settle import boot_id, is_present, set_aside
from pyctr.registry.transport import Unreachable, explain

if TYPE_CHECKING:
    from pyctr._core import LayerInfo
    from pyctr.engine import Engine
    from pyctr.engine.transfer import Report
    from pyctr.image.manifest import Descriptor
    from pyctr.image.store import Store
    from pyctr.registry.client import Repository

    Layer = tuple[Descriptor, str]

_CHUNK_BYTES = 256 << 10
#: Progress is told this often at most: a terminal shows no more.
_REPORT_S = 0.1
#: The same bound as for archives: far above any image, far below what fills a host by a bomb of kilobytes.
_LAYER_MAX_BYTES = 64 << 30
_ABORT = b"x"  # rust/core/src/layer/growing.rs


def short(digest: str) -> str:
    """Twelve digits, as Docker shows a layer."""
    return digest[7:19]


class LayerPuller:
    """Brings layers into the store; one that fails ends the others."""

    def __init__(
        self, store: Store, repository: Repository, report: Report, *, downloads: int = 3, attempts: int = 5
    ) -> None:
        self.store = store
        self.repository = repository
        self.report = report
        self.downloads = downloads
        self.attempts = attempts
        self.cancelled = threading.Event()

    def pull(self, layers: list[Layer], *, tell_present: bool = True) -> None:
        """Bring what is missing, the largest first. Raises what the first failure raised; partial blobs stay.

        Of layers that are there is told nothing unless `tell_present`: of an image that is there Docker tells nothing.
        """
        missing: dict[str, Layer] = {}
        for descriptor, _ in layers:
            if descriptor.size > _LAYER_MAX_BYTES:
                raise CorruptData(f"layer {descriptor.digest}: larger than {_LAYER_MAX_BYTES} bytes")
        for descriptor, diff_id in layers:
            if is_present(self.store, diff_id):
                if tell_present:
                    self.report("Already exists", short(descriptor.digest))
            elif diff_id not in missing:
                missing[diff_id] = (descriptor, diff_id)
                self.report("Pulling fs layer", short(descriptor.digest))
        order = sorted(missing.values(), key=lambda layer: layer[0].size, reverse=True)
        for descriptor, _ in order[self.downloads :]:
            self.report("Waiting", short(descriptor.digest))
        side_by_side(self._pull, order, threads=self.downloads, name="layer", cancelled=self.cancelled)

    def _pull(self, descriptor: Descriptor, diff_id: str) -> None:
        id = short(descriptor.digest)
        try:
            with locked(self.store, descriptor.digest, self.cancelled, lambda: self.report("Waiting", id)) as partial:
                if not is_present(self.store, diff_id):
                    self._pull_locked(descriptor, diff_id, partial)
                self.report("Pull complete", id)
        except OSError as error:
            raise _full_disk(descriptor.digest, error) from None

    def _pull_locked(self, descriptor: Descriptor, diff_id: str, partial: Partial) -> None:
        resumed = partial.offset > 0
        try:
            try:
                info = self._transfer(descriptor, diff_id, partial)
            except CorruptData:
                if not resumed:
                    raise
                # What an earlier transfer left, or the disk, may be at fault: once more, from the beginning.
                partial.clear()
                info = self._transfer(descriptor, diff_id, partial)
        except CorruptData:
            partial.clear()
            raise
        self._publish(descriptor, diff_id, partial, info)

    def _transfer(self, descriptor: Descriptor, diff_id: str, partial: Partial) -> LayerInfo:
        """Download and unpack at the same time."""
        draft = layer_draft(self.store, descriptor.digest, diff_id)
        if os.path.isdir(draft):
            remove_tree(draft)
        os.mkdir(draft, 0o755)
        unpacking = Unpacking(partial.source, draft, descriptor, diff_id)
        try:
            try:
                Download(self, descriptor, partial, unpacking).run()
            except BaseException:
                unpacking.abort()
                unpacking.join()
                # A stream that cannot be unpacked ends its download: the cause is told, not the effect.
                if unpacking.error is not None and not unpacking.aborted_first:
                    raise unpacking.error from None
                raise
            unpacking.finish()
            return unpacking.result()
        except BaseException:
            remove_tree(draft)
            raise

    def _publish(self, descriptor: Descriptor, diff_id: str, partial: Partial, info: LayerInfo) -> None:
        draft, target = layer_draft(self.store, descriptor.digest, diff_id), self.store.layer_path(diff_id)
        partial.publish()
        if not is_present(self.store, diff_id):
            set_aside(self.store, diff_id)
        facts = {"digest": descriptor.digest, "size": info.size, "unsynced": boot_id()}
        if not os.path.isdir(target):
            write_atomic(target + ".json", json_dumps(facts), sync=False)
        try:
            os.rename(draft, target)
        except OSError:
            remove_tree(draft)
            if not os.path.isdir(target):  # the same layer, compressed otherwise, by another pull
                raise


def fetch_blob(engine: Engine, descriptor: Descriptor, names: list[str], cancelled: threading.Event) -> None:
    """Fetch a layer's blob that is not kept (its content came with another image), from where `names` lead to.

    Raises NotFound if no registry has it; what came of it stays for the next time.
    """
    from pyctr.engine.transfer import connect, silent
    from pyctr.image.reference import parse_reference

    store: Store = engine.image_store
    problem: Exception | None = None
    for reference in map(parse_reference, names):
        registry = connect(engine, reference.domain, pull=True)
        puller = LayerPuller(
            store, registry.repository(reference.path), silent, attempts=engine.config.max_download_attempts
        )
        puller.cancelled = cancelled
        try:
            with locked(store, descriptor.digest, cancelled, lambda: None) as partial:
                if not partial.is_stored:
                    Download(puller, descriptor, partial, None).run()
                    _verify(descriptor, partial)
                    partial.publish()
                return
        except (NotFound, RegistryError, CorruptData) as error:
            problem = error
        finally:
            registry.transport.close()
    raise NotFound(f"layer {descriptor.digest} is not kept, and no registry has it{f': {problem}' if problem else ''}")


def _verify(descriptor: Descriptor, partial: Partial) -> None:
    import hashlib

    with open(partial.path, "rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if digest != descriptor.digest:
        partial.clear()
        raise CorruptData(f"verify {descriptor.digest}: digest is {digest}")


class Unpacking:
    """A thread in which the core unpacks a file that grows."""

    def __init__(self, path: str, draft: str, descriptor: Descriptor, diff_id: str) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._writer, False)
        self.error: BaseException | None = None
        self.aborted_first = False
        self._info: LayerInfo | None = None
        arguments = (path, draft, descriptor, diff_id)
        self._thread = threading.Thread(target=self._run, args=arguments, name="unpack", daemon=True)
        self._thread.start()

    def _run(self, path: str, draft: str, descriptor: Descriptor, diff_id: str) -> None:
        try:
            self._info = extract_growing_layer(
                path, self._reader, draft, digest=descriptor.digest, size=descriptor.size, diff_id=diff_id,
                max_bytes=_LAYER_MAX_BYTES,
            )  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self.error = error

    @property
    def failed(self) -> bool:
        """Whether there is no use in going on."""
        return self.error is not None

    def news(self) -> None:
        """The file has grown."""
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            return  # it has news enough

    def abort(self) -> None:
        """No more will come."""
        if self._writer >= 0:
            self.aborted_first = self.error is None
            os.set_blocking(self._writer, True)
            try:
                os.write(self._writer, _ABORT)
            finally:
                self._close_writer()

    def finish(self) -> None:
        """All has come."""
        self._close_writer()

    def _close_writer(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1

    def result(self) -> LayerInfo:
        """What was unpacked. Raises what went wrong."""
        self.join()
        if self.error is not None:
            raise self.error
        if self._info is None:
            raise PyctrError("unpack layer: ended without a result")
        return self._info


class Download:
    """One blob into its file, through as many connections as it takes; `unpacking` is told of what came."""

    def __init__(
        self, puller: LayerPuller, descriptor: Descriptor, partial: Partial, unpacking: Unpacking | None
    ) -> None:
        self.puller = puller
        self.descriptor = descriptor
        self.partial = partial
        self.unpacking = unpacking
        self._told_s = 0.0

    def run(self) -> None:
        """Fetch what is missing. Raises CorruptData, RegistryError, Cancelled."""
        size, failures = self.descriptor.size, 0
        if self.partial.offset > size:
            raise CorruptData(f"verify {self.descriptor.digest}: more than the expected {size} bytes")
        if self.partial.offset and self.unpacking is not None:
            self.unpacking.news()
        while self.partial.offset < size:
            before = self.partial.offset
            try:
                self._fetch()
            except (Unreachable, HTTPError) as error:
                failures = 1 if self.partial.offset > before else failures + 1
                if failures >= self.puller.attempts:
                    raise self._explained(error) from None
                if self.partial.offset == before:
                    self.puller.repository.registry.transport.pause(failures)
        self._tell("Download complete")

    def _explained(self, error: BaseException) -> PyctrError:
        if isinstance(error, PyctrError):
            return error
        where = f"{self.puller.repository.registry.domain}/{self.puller.repository.path}@{self.descriptor.digest}"
        return explain("get", where, error)

    def _fetch(self) -> None:
        """One connection's worth."""
        digest, size = self.descriptor.digest, self.descriptor.size
        response, start = self.puller.repository.open_blob(digest, offset=self.partial.offset)
        try:
            length = response.headers.get("Content-Length") or ""
            if length.isdigit() and start + int(length) != size:
                raise CorruptData(f"verify {digest}: size is {start + int(length)}, expected {size}")
            skipped = self.partial.offset - start  # a server that gives no parts begins at the beginning
            while data := response.read1(_CHUNK_BYTES):
                if self.puller.cancelled.is_set() or (self.unpacking is not None and self.unpacking.failed):
                    raise Cancelled("interrupted")
                if skipped:
                    data, skipped = data[skipped:], max(0, skipped - len(data))
                if self.partial.offset + len(data) > size:
                    raise CorruptData(f"verify {digest}: more than the expected {size} bytes")
                self.partial.write(data)
                if self.unpacking is not None:
                    self.unpacking.news()
                self._tell("Downloading")
            if self.partial.offset < size:
                raise Unreachable(f"read blob {digest}: connection closed before the end")
            response.release_conn()
        finally:
            response.close()

    def _tell(self, status: str) -> None:
        now_s = time.monotonic()
        if status != "Downloading" or now_s - self._told_s >= _REPORT_S:
            self._told_s = now_s
            self.puller.report(status, short(self.descriptor.digest), self.partial.offset, self.descriptor.size)


def _full_disk(digest: str, error: OSError) -> PyctrError:
    failure = KernelError(f"store layer {digest}: {(error.strerror or str(error)).lower()}")
    failure.errno = error.errno
    if error.errno == errno.ENOSPC:
        failure.hint = "what has come so far is kept; `pyctr image prune` removes it"
    return failure
