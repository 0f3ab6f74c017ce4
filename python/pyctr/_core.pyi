"""The Rust core. Errors are exceptions of `pyctr.errors`; the GIL is released around whatever may block."""

from typing import Any, final

@final
class LayerInfo:
    """An extracted layer. Digests with their algorithm, sizes in bytes."""

    @property
    def digest(self) -> str: ...
    @property
    def compressed_size(self) -> int: ...
    @property
    def diff_id(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def skipped_devices(self) -> int:
        """Device nodes left out because a user namespace cannot make them."""

@final
class BlobInfo:
    """A stored blob: digest with its algorithm, size in bytes."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...

@final
class Member:
    """A member of an archive; kind is file, hardlink, symlink, device, directory or fifo."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def linkname(self) -> str: ...

@final
class ArchiveReader:
    """Members of a tar stream, plain or compressed with gzip or zstd, in one pass. Raises CorruptData."""

    def __new__(cls, fd: int) -> ArchiveReader: ...
    def __iter__(self) -> ArchiveReader: ...
    def __next__(self) -> Member: ...
    def read(self, limit: int) -> bytes:
        """The current member; one larger than `limit` bytes is CorruptData."""

    def store_blob(
        self, blobs_dir: str, *, digest: str | None = None, size: int | None = None, max_bytes: int = ...
    ) -> BlobInfo:
        """The current member as a blob. Idempotent; returns only when stored."""

@final
class Channel:
    """One end of a packet socket to a monitor (docs/design.md, "Monitor protocol")."""

    @staticmethod
    def pair() -> tuple[Channel, int]:
        """A channel and the descriptor of its other end, close-on-exec, the caller's to close."""

    @staticmethod
    def connect(path: str) -> Channel:
        """Connect to a monitor's socket; the path may be longer than 108 bytes. NotFound if nobody listens."""

    def send(self, data: bytes, fds: list[int] = ...) -> None:
        """Send a packet and up to three descriptors."""

    def recv(self) -> bytes | None:
        """The next packet, None at the end; runs Python signal handlers while it waits."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...

@final
class LogDecoder:
    """Reads back what a log driver kept (json-file, local), in a window of time (bounds included, ns since 1970)."""

    def __new__(
        cls,
        driver: str,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        timestamps: bool = False,
        details: bool = False,
    ) -> LogDecoder: ...
    def decode(self, data: bytes) -> tuple[int, list[tuple[str, bytes]]]:
        """How many bytes of `data` are whole entries, and what they show: (stream, bytes), neighbours joined."""

    def whole_end(self, fd: int, size: int) -> int:
        """Where the last whole entry of a file of `size` bytes ends."""

    def tail(self, fd: int, end: int, count: int) -> tuple[int, int]:
        """Where the last `count` entries before `end` begin, and how many there are."""

def extract_layer(
    source: str | int,
    target: str,
    *,
    digest: str | None = None,
    size: int | None = None,
    diff_id: str | None = None,
    max_bytes: int | None = None,
    max_entries: int | None = None,
) -> LayerInfo:
    """Extract a layer from a path or descriptor into an empty directory and verify it. Raises CorruptData."""

def extract_growing_layer(
    path: str,
    news: int,
    target: str,
    *,
    digest: str | None = None,
    size: int | None = None,
    diff_id: str | None = None,
    max_bytes: int | None = None,
) -> LayerInfo:
    """As `extract_layer`, from a file that is still written: waits on the pipe `news` whenever it has read all there is.

    Any byte means that there is more, b"x" that no more comes and the layer is given up, the pipe's end that the file is
    whole.
    """

def store_blob(
    source: str | int, blobs_dir: str, *, digest: str | None = None, size: int | None = None, max_bytes: int = ...
) -> BlobInfo:
    """Store a file's content under its digest. Idempotent; returns only when stored. Raises CorruptData."""

def write_atomic(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file in one rename; with `sync` it survives a power cut."""

def remove_tree(path: str, *, contents_only: bool = False) -> None:
    """Remove a tree, never through a link or across a mount. A missing one is fine."""

def sync_file_system(path: str) -> None:
    """Write out the file system a directory lies on (syncfs(2))."""

def json_loads(data: bytes | str) -> Any:
    """Parse JSON. Raises ValueError naming line and column."""

def json_dumps(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    """Serialise to UTF-8."""

def process_start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if it is gone or a zombie."""

def send_signal(pid: int, start_time: int, signal: int) -> None:
    """Signal just that process, by pidfd. Raises NotFound if it is gone."""

def kernel_version() -> tuple[int, int]:
    """Major and minor version of the running kernel."""

def permitted_capabilities() -> int:
    """This process's permitted capabilities as a bit mask."""

def resolve_seccomp_profile(profile: str, capabilities: int, kernel: tuple[int, int]) -> bytes:
    """`linux.seccomp` (JSON) of a profile in Docker's form, for a bounding set (bit n: capability n) on a kernel.

    Raises InvalidArgument naming the place in the profile.
    """
