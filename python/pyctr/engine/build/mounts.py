"""`RUN --mount`: binds, caches, tmpfs, secrets, agents (docs/build-execute.md, "Mounts").

What a bind shows is opened below the root it lies in and mounted by its descriptor (CVE-2024-23651); nothing is mounted on the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from pyctr._core import SourceTree, kernel_version, make_directory, remove_tree, sha256
from pyctr.engine.build.cache import note_use
from pyctr.engine.build.memory import memory_directory, remove_secrets
from pyctr.engine.build.scratch import Changes
from pyctr.engine.build.values import Value, owner_path
from pyctr.errors import BuildError, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyctr.build.plan.step import Mount
    from pyctr.build.request import Agent, Secret
    from pyctr.engine.build.cache_from import Imported
    from pyctr.engine.build.scratch import Scratch
    from pyctr.image.store import Store

#: Before, a mount that is attached nowhere cannot be copied (open_tree(2) on an anonymous mount namespace).
_COPIES_DETACHED = (6, 15)
_SECRET_MAX_BYTES = 500 << 10  # BuildKit's


class Mounted:
    """The mounts of one RUN; everything they need lasts until `close`."""

    def __init__(self, store: Store, scratch: Scratch, run_directory: str) -> None:
        self.store = store
        self.scratch = scratch
        self.run_directory = run_directory
        self.specs: list[dict[str, Any]] = []
        self.environment: list[str] = []
        #: Variables that no file may hold.
        self.secret_environment: list[str] = []
        self.targets: list[str] = []
        self._agents = 0
        self._closing = contextlib.ExitStack()

    def close(self) -> None:
        """Give descriptors, locks and files back."""
        self._closing.close()

    def add_bind(self, mount: Mount, value: Value) -> None:
        """A directory or file of another file system; what is written to it, where it may be, is thrown away."""
        root: str | int = value.root(self.store, self.scratch)
        if not mount.read_only:
            changes = Changes(self.scratch, value.snapshot.directories(self.store))
            self._closing.callback(changes.close)
            root = changes.root
        try:
            place, is_directory = SourceTree(root).open_place(mount.source)
        except NotFound:
            raise BuildError(f'"{mount.source}" not found: source of mount {mount.target}') from None
        if isinstance(root, int) and kernel_version() < _COPIES_DETACHED:
            os.close(place)
            place = self._copied(root, mount.source, is_directory=is_directory)
        self._closing.callback(os.close, place)
        self._bind(mount.target, place, read_only=mount.read_only)

    def _copied(self, root: int, source: str, *, is_directory: bool) -> int:
        target = self.scratch.directory(0o755)
        if is_directory:
            SourceTree(root).copy(source, target, "/")
            return os.open(target, os.O_PATH | os.O_CLOEXEC)
        SourceTree(root).copy(source, target, "/file")
        return os.open(f"{target}/file", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _bind(self, target: str, place: int, *, read_only: bool) -> None:
        options = ["bind", "rprivate", *(["ro"] if read_only else [])]
        self.specs.append({"destination": target, "type": "bind", "source": owner_path(place), "options": options})
        self.targets.append(target)

    def add_tmpfs(self, mount: Mount) -> None:
        """An empty file system in memory."""
        options = ["nosuid", "nodev", "mode=1777", *([f"size={mount.size_bytes}"] if mount.size_bytes else [])]
        self.specs.append({"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options})
        self.targets.append(mount.target)

    def add_cache(
        self, mount: Mount, initial: Value | None, wait: Callable[[], None], imported: Imported | None
    ) -> None:
        """A directory that outlives the build; `wait` is called while another build has it and raises when it is over."""
        directory, lock = take_cache(self.store.root, mount, initial is not None, wait)
        self._closing.callback(os.close, lock)
        with _alone(f"{directory}/filling"):  # of those who share it one makes it
            if not os.path.isdir(f"{directory}/data"):
                self._fill(directory, mount, initial, imported)
        place, _ = SourceTree(f"{directory}/data").open_place("/" if initial is not None else mount.source)
        self._closing.callback(os.close, place)
        self._bind(mount.target, place, read_only=mount.read_only)

    def _fill(self, directory: str, mount: Mount, initial: Value | None, imported: Imported | None) -> None:
        draft = f"{directory}/.data"
        remove_tree(draft)  # of a build that was killed
        os.mkdir(draft)
        owner = (mount.uid or 0, mount.gid or 0)
        os.chown(draft, *owner)
        os.chmod(draft, 0o755 if mount.mode is None else mount.mode)
        if initial is not None:
            with contextlib.suppress(NotFound):
                initial.tree(self.store, self.scratch).copy(mount.source, draft, "/")
        elif mount.source.strip("/"):
            make_directory(draft, mount.source, owner=owner)
        if imported is not None:
            imported.fill_mount(os.path.basename(os.path.dirname(directory)), draft)
        os.rename(draft, f"{directory}/data")

    def add_secret(self, mount: Mount, secret: Secret | None) -> None:
        """A file, or a variable, that no layer and no cache ever holds."""
        content = read_secret(secret, mount.identity)
        if content is None:
            if mount.required:
                raise BuildError(f"secret {mount.identity}: not found")
            return
        if mount.environment:
            try:
                self.secret_environment.append(f"{mount.environment}={content.decode()}")
            except UnicodeDecodeError:
                raise BuildError(f"secret {mount.identity}: not valid UTF-8, which a variable must be") from None
        if mount.target:
            self._bind(mount.target, self._secret_file(mount, content), read_only=True)

    def _secret_file(self, mount: Mount, content: bytes) -> int:
        directory = memory_directory(self.run_directory)
        self._closing.callback(remove_secrets, self.run_directory)
        path = f"{directory}/{len(self.targets)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), mount.uid or 0, mount.gid or 0)
            os.fchmod(file.fileno(), 0o400 if mount.mode is None else mount.mode)
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._closing.callback(os.close, place)
        return place

    def add_agent(self, mount: Mount, agent: Agent | None) -> None:
        """A socket that leads to an ssh agent of the user's."""
        from pyctr.engine.build.agent import Relay, agent_socket

        if agent is None:
            if mount.required:
                raise BuildError(f"ssh agent {mount.identity}: not found; use --ssh {mount.identity}")
            return
        socket = self._closing.enter_context(agent_socket(agent, self.run_directory))
        os.makedirs(f"{self.run_directory}/ssh", 0o700, exist_ok=True)
        path = f"{self.run_directory}/ssh/{len(self.targets)}"
        relay = Relay(path, socket, owner=(mount.uid or 0, mount.gid or 0), mode=mount.mode or 0o600)
        self._closing.callback(relay.close)
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._closing.callback(os.close, place)
        target = mount.target or f"/run/buildkit/ssh_agent.{self._agents}"
        if not self._agents:
            self.environment.append(f"SSH_AUTH_SOCK={target}")
        self._agents += 1
        self._bind(target, place, read_only=False)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read_secret(secret: Secret | None, identity: str) -> bytes | None:
    """A secret's bytes; None if nobody gave it. Raises BuildError; says nothing of the content."""
    if secret is None:
        return None
    if secret.variable:
        value = os.environb.get(secret.variable.encode())
        if value is None:
            raise BuildError(f"secret {identity}: environment variable {secret.variable} is not set")
        return value
    try:
        with open(secret.path, "rb") as file:
            content = file.read(_SECRET_MAX_BYTES + 1)
    except OSError as error:
        raise BuildError(f"secret {identity}: open {secret.path}: {(error.strerror or '').lower()}") from None
    if len(content) > _SECRET_MAX_BYTES:
        raise BuildError(f"secret {identity}: larger than {_SECRET_MAX_BYTES} bytes")
    return content


def cache_base(root: str, mount: Mount, *, has_initial: bool) -> str:
    """The directory of a cache mount: its id's, and where it starts from decides too, as in BuildKit."""
    what = f"{mount.identity}\0{mount.source if has_initial else ''}\0{mount.uid or 0}:{mount.gid or 0}"
    return f"{root}/build/mounts/{sha256(what.encode())[:32]}"


def take_cache(root: str, mount: Mount, has_initial: bool, wait: Callable[[], None]) -> tuple[str, int]:
    """A cache mount's directory and the lock on it: shared, alone (`locked`), or one that nobody uses (`private`)."""
    base = cache_base(root, mount, has_initial=has_initial)
    number = 0
    while True:
        directory = f"{base}/{number}"
        os.makedirs(directory, 0o700, exist_ok=True)
        lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if mount.sharing == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            if mount.sharing == "private":
                number += 1
            else:
                wait()
            continue
        except BaseException:
            os.close(lock)
            raise
        if not os.path.exists(f"{directory}/lock"):  # pruned between open and lock
            os.close(lock)
            continue
        describe_cache(base, mount)
        note_use(f"{directory}/lock")
        return directory, lock


def describe_cache(base: str, mount: Mount) -> None:
    """What `builder du` shows of it."""
    try:
        fd = os.open(f"{base}/id", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.write(fd, mount.identity.encode())
    os.close(fd)


def refuse_kind(mount: Mount) -> None:
    """What is no kind of mount."""
    raise InvalidArgument(f"unsupported mount type {mount.kind}")
