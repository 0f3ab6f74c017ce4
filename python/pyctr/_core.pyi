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

@final
class WrittenLayer:
    """An archive that was written (docs/layers.md). Digests with their algorithm, sizes in bytes."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def diff_id(self) -> str:
        """Digest of the uncompressed archive."""

    @property
    def uncompressed_size(self) -> int: ...
    @property
    def content_size(self) -> int:
        """Bytes of all files."""

    @property
    def entries(self) -> int: ...
    @property
    def skipped(self) -> list[str]:
        """Names of sockets, which an archive cannot hold."""

def diff_layer(
    upper: str,
    lowers: list[str],
    sink: str | int,
    *,
    compression: str = "none",
    clamp_mtime: int | None = None,
    extract_to: str | None = None,
    hidden: list[str] = ...,
    sync: bool = True,
    still: bool = False,
) -> WrittenLayer:
    """Write what an overlay upper directory changes of `lowers` (topmost first) as a layer.

    `sink` is a directory of blobs or a descriptor; `compression` none, gzip or zstd; `clamp_mtime` in seconds since the epoch;
    `hidden` are mount points to leave out; without `sync` the blob may not have reached the disk; `still` says that nobody else
    reaches `upper`. Raises StateError for what a layer cannot say.
    """

def export_tree(
    layers: list[str],
    sink: str | int,
    *,
    compression: str = "none",
    clamp_mtime: int | None = None,
    extract_to: str | None = None,
) -> WrittenLayer:
    """Write the tree that `layers` (topmost first) make when they are merged."""

def copy_directory(layers: list[str], path: str, target: str) -> bool:
    """Copy the directory at `path` of merged layers (topmost first) into an empty one, mode and owner included.

    False if the layers have no directory there; links in `path` lead inside them.
    """

def layer_changes(upper: str, lowers: list[str], hidden: list[str]) -> list[tuple[str, str]]:
    """What an overlay upper directory changes, as `docker diff` lists it: (A, C or D; path), sorted by path."""

def archive_path(
    root: str | int,
    path: str,
    sink: str | int,
    *,
    name: str | None = None,
    follow: bool = False,
    contents: bool = False,
    compression: str = "none",
    clamp_mtime: int | None = None,
) -> WrittenLayer:
    """Write what `path` below `root` leads to, called `name`; of a directory with `contents` only what is in it.

    Links lead inside `root`; the last one is followed with `follow`. Raises NotFound.
    """

def unpack_archive(
    source: str | int,
    root: str | int,
    path: str,
    *,
    owner: tuple[int, int] | None = None,
    max_bytes: int | None = None,
    max_entries: int | None = None,
) -> int:
    """Unpack an archive that is no layer into the directory `path` below `root`; how many entries. Raises CorruptData."""

def compress_blob(source: str | int, sink: str | int, *, compression: str) -> WrittenLayer:
    """Write a stream, plain or compressed with gzip or zstd, in another compression."""

def store_blob(
    source: str | int,
    blobs_dir: str,
    *,
    digest: str | None = None,
    size: int | None = None,
    max_bytes: int = ...,
    sync: bool = True,
) -> BlobInfo:
    """Store a file's content under its digest. Idempotent; returns only when stored, with `sync` on disk. Raises CorruptData."""

def sha256(data: bytes) -> str:
    """64 hexadecimal digits. What `hashlib` does after loading OpenSSL, which takes a short command 3 ms."""

def write_atomic(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file in one rename; with `sync` it survives a power cut."""

def remove_tree(path: str, *, contents_only: bool = False) -> None:
    """Remove a tree, never through a link or across a mount. A missing one is fine."""

def append_journal(path: str, line: bytes) -> None:
    """Append one whole line, its end included; a full journal is set aside as `path`.1 (docs/events.md)."""

def watch_directory(path: str) -> int:
    """A descriptor that becomes readable when something in a directory changes (inotify(7)); reading it never waits."""

def sync_file_system(path: str) -> None:
    """Write out the file system a directory lies on (syncfs(2))."""

def json_loads(data: bytes | str) -> Any:
    """Parse JSON. Raises ValueError naming line and column."""

def json_dumps(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    """Serialise to UTF-8."""

def read_records(
    directory: str, ids: list[str], wanted: dict[str, Any], wanted_state: dict[str, Any]
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Of each container config.json, as much of it as `wanted` names, and state.json likewise ({}: there is none).

    What is wanted is a dict of members to True (whole) or a further dict. None stands for what cannot be read or is no JSON.
    """

def process_start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if it is gone or a zombie."""

def send_signal(pid: int, start_time: int, signal: int) -> None:
    """Signal just that process, by pidfd. Raises NotFound if it is gone."""

def kernel_version() -> tuple[int, int]:
    """Major and minor version of the running kernel."""

def permitted_capabilities() -> int:
    """This process's permitted capabilities as a bit mask."""

def capability_names() -> list[str]:
    """``CAP_CHOWN`` and all the others, each at its number (linux/capability.h)."""

def resolve_seccomp_profile(profile: str, capabilities: int, kernel: tuple[int, int]) -> bytes:
    """`linux.seccomp` (JSON) of a profile in Docker's form, for a bounding set (bit n: capability n) on a kernel.

    Raises InvalidArgument naming the place in the profile.
    """

def network_make(directory: str, table: str, network: bytes) -> None:
    """Make a network's links and packet rules now (docs/networks.md; `network` is JSON). Raises Conflict, KernelError."""

def network_remove(directory: str, table: str, network_id: str, *, forget: bool = False) -> bool:
    """Remove a network's links and rules, with `forget` its run-time directory; False: somebody uses it."""

def network_release(directory: str, table: str, container_id: str) -> None:
    """Take away what a killed monitor left: map elements, files, leases, networks nobody uses any more."""

def network_rebuild(directory: str, table: str) -> None:
    """Make the packet rules again from the files, in one transaction."""

def rootless_enter(keeper: Channel, path: str) -> None:
    """Enter the namespaces that the keeper at the other end hands out; `path` is its socket. For a process of one thread."""

def rootless_keeper() -> str | None:
    """The keeper's socket, in a process that is an ordinary user's in its own namespaces (docs/rootless.md)."""

def cgroup_stats(paths: dict[str, str]) -> bytes:
    """The kernel's counters of a control group (controller to directory, as in state.json) as JSON, as runc prints them."""

def cgroup_processes(paths: dict[str, str]) -> list[int]:
    """The pids of a control group's processes."""

def stat_path(root: str | int, path: str, *, follow: bool = True) -> tuple[int, int, str, int]:
    """st_mode, size, link target and modification time (nanoseconds since 1970) of what `path` below `root` leads to; links lead inside. Raises NotFound."""

def mount_layers(lower: list[str], upper: str, work: str, *, volatile: bool = False) -> int:
    """A descriptor of merged layers (topmost first) and an upper directory, mounted nowhere; the caller's to close.

    `volatile` leaves out every sync: for what need not survive a power cut.
    """

@final
class CopiedTree:
    """What was copied: `digest` as `SourceTree.digest` gives it of the source at that moment, entries, bytes of all files."""

    @property
    def digest(self) -> str: ...
    @property
    def entries(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def direct(self) -> str | None:
        """The directory of `upper` that it was written into itself: mount the overlay anew before it is used again."""

@final
class SourceTree:
    """A tree that a build reads. `skip` are paths that are not there; `anonymous`: owners do not count (a context).

    `known` is a file in which is kept what files came to: those that are unchanged are not read again.
    """

    def __new__(
        cls, root: str | int, *, skip: list[str] = ..., anonymous: bool = False, known: str | None = None
    ) -> SourceTree: ...
    def expand(self, pattern: str) -> list[str]:
        """The paths a pattern means (Go's filepath.Match, and `**`); one without wildcards itself, there or not."""

    def digest(self, path: str) -> str:
        """Digest of what a path leads to, with all that is in it; no times. Raises NotFound."""

    def keep_known(self) -> None:
        """Write down what files came to that were not known yet. Raises PyctrError."""

    def list(self, path: str) -> list[tuple[str, bool]]:
        """Everything below a directory, relative to it, and whether it is a directory."""

    def open_file(self, path: str) -> int:
        """A descriptor of a regular file, the caller's to close. Raises NotFound, InvalidArgument."""

    def open_place(self, path: str) -> tuple[int, bool]:
        """A descriptor to mount what a path leads to from, and whether that is a directory."""

    def copy(
        self,
        path: str,
        root: str | int,
        target: str,
        *,
        owner: tuple[int, int] | None = None,
        mode: str | None = None,
        mtime: int | None = None,
        parents_from: int | None = None,
        upper: str | None = None,
    ) -> CopiedTree:
        """Copy by the rules of COPY; `upper` is the upper directory of the overlay that `root` is, for speed. Raises NotFound, InvalidArgument, StateError for what changed meanwhile."""

def make_directory(root: str | int, path: str, *, owner: tuple[int, int] = ..., mode: int = 0o755) -> None:
    """`mkdir -p` below a root; what is there stays as it is."""

def settle_upper(upper: str, *, clamp: int | None = None, settled: str | None = None) -> None:
    """Make an overlay's upper directory what extracting its layer would: times, overlay's notes. It must not be mounted.

    What is in the directory `settled` is so already (`CopiedTree.direct`).
    """

def find_owner(root: str | int, user: str) -> tuple[int, int]:
    """Ids of ``user[:group]`` by the files of a root, strictly. Raises InvalidArgument."""
