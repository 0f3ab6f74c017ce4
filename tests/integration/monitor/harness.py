"""A monitor seen from outside: a container's directory on disk, the binary, a socket pair, descriptors passed on."""

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import select
import socket
import threading
import time

from tests.waiting import PATIENCE_S, wait_until

BUSYBOX = next((path for path in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(path)), None)
NAMESPACES = ("pid", "mount", "uts", "ipc", "network", "cgroup")
APPLETS = ("sh", "cat", "sleep", "true", "dd", "head", "tail", "seq", "stty", "yes", "mkdir", "tr")
CGROUP_PARENT = "/pyctr-test"


def find_runtime():
    """The binary under test: $PYCTR_RUNTIME, or the one the package carries."""
    named = os.environ.get("PYCTR_RUNTIME")
    if named:
        return named
    import pyctr

    path = pathlib.Path(pyctr.__file__).parent / "_bin/pyctr-runtime"
    return str(path) if path.exists() else None


def read_all(fd):
    """All bytes up to the end, in a thread of its own; `.result()` waits for them."""

    class Reader(threading.Thread):
        def __init__(self):
            super().__init__(daemon=True)
            self.data = b""
            self.start()

        def run(self):
            while chunk := os.read(fd, 1 << 20):
                self.data += chunk
            os.close(fd)

        def result(self):
            self.join(PATIENCE_S)
            assert not self.is_alive(), "the other end was not let go"
            return self.data

    return Reader()


class Client:
    """One client of a monitor."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE_S)

    def send(self, fds=(), **message):
        socket.send_fds(self.sock, [json.dumps(message).encode()], list(fds))

    def attach(self, *, stdin=None, stdout=None, stderr=None, **more):
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        fds = [fd for fd in streams.values() if fd is not None]
        flags = {name: fd is not None for name, fd in streams.items()}
        self.send(fds, op="attach", version=1, **{"detach_keys": "ctrl-p,ctrl-q"} | flags | more)

    def attach_pipes(self, **more):
        """Attach both outputs to fresh pipes; their readers."""
        (out, child_out), (err, child_err) = os.pipe(), os.pipe()
        self.attach(stdout=child_out, stderr=child_err, **more)
        os.close(child_out)
        os.close(child_err)
        return read_all(out), read_all(err)

    def receive(self):
        data = self.sock.recv(1 << 16)
        return json.loads(data) if data else None

    def expect(self, name):
        event = self.receive()
        assert event is not None, f"gone before {name}"
        assert event["event"] == name, event
        return event

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Container:
    """A container's directory, and its monitor once started."""

    def __init__(self, runtime, base, layers):
        self.runtime = runtime
        self.id = secrets.token_hex(32)
        self.dir = base / "containers" / self.id
        self.run_dir = base / "run" / self.id
        self.events_path = base / "events.jsonl"
        self.log_path = self.dir / f"{self.id}-json.log"
        self.cgroup = f"{CGROUP_PARENT}/{self.id}"
        self.process = None
        self.client = None
        for name in ("upper", "work", "merged"):
            (self.dir / name).mkdir(parents=True)
        self.run_dir.parent.mkdir(exist_ok=True)
        (self.dir / "config.json").write_text("{}")
        (self.dir / "lock").touch()
        self.request = {
            "version": 1,
            "id": self.id,
            "container_dir": str(self.dir),
            "run_dir": str(self.run_dir),
            "overlay": {
                "lower": [str(layer) for layer in layers],
                "upper": str(self.dir / "upper"),
                "work": str(self.dir / "work"),
                "volatile": False,
            },
            "user": "0",
            "group_add": [],
            "terminal": False,
            "open_stdin": False,
            "stdin_once": False,
            "log": {"driver": "json-file", "path": str(self.log_path), "options": {}},
            "remove": None,
            "restart": {"policy": "no", "maximum_retry_count": 0},
            "stop_signal": 15,
            "stop_timeout_s": 10,
            "init": False,
            "seccomp": "unconfined",
            "cgroup_driver": "cgroupfs",
            "events": str(self.events_path),
            "event_attributes": {"image": "busybox", "name": "test"},
        }
        capabilities = ["CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE"]
        self.spec = {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.dir / "merged")},
            "process": {
                "cwd": "/",
                "user": {"uid": 0, "gid": 0},
                "args": ["true"],
                "env": ["PATH=/bin", "TERM=xterm"],
                "terminal": False,
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {
                    "destination": "/dev/pts",
                    "type": "devpts",
                    "source": "devpts",
                    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
                },
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in NAMESPACES],
                "cgroupsPath": self.cgroup,
                "resources": {},
            },
        }

    def write(self):
        self.spec["process"]["terminal"] = self.request["terminal"]
        (self.dir / "spec.json").write_text(json.dumps(self.spec))
        (self.dir / "monitor.json").write_text(json.dumps(self.request))

    def run(self, *args):
        """What runs: a command, or with one argument a script."""
        self.spec["process"]["args"] = list(args) if len(args) > 1 else ["sh", "-c", args[0]]
        return self

    def spawn(self, before=lambda client: client.send(op="watch", version=1)):
        """Start the monitor; `before` speaks on its first socket before it runs. The first client."""
        self.write()
        if self.client:
            self.client.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.client = Client(ours)
        before(self.client)
        lock = os.open(self.dir / "lock", os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (theirs.fileno(), lock)]
        actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, copy, number) for copy, number in zip(copies, (3, 4), strict=True)]
        pid = os.posix_spawn(
            self.runtime, [self.runtime, "monitor", str(self.dir)], {}, file_actions=actions, setsid=True
        )
        self.process = pid
        for fd in (*copies, lock, null):
            os.close(fd)
        theirs.close()
        return self.client

    def start(self, **how):
        """Start it and attach both outputs; their readers."""
        readers = []
        self.spawn(lambda client: readers.extend(client.attach_pipes(**how)))
        self.client.expect("started")
        return readers

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.open(self.run_dir, os.O_PATH)
        try:
            sock.connect(f"/proc/self/fd/{fd}/sock")
        finally:
            os.close(fd)
        return Client(sock)

    def kill(self, signal):
        """Ask for a signal; the answer."""
        with self.connect() as client:
            client.send(op="kill", signal=signal)
            return client.receive()

    def state(self):
        return json.loads((self.dir / "state.json").read_text())

    def events(self):
        lines = self.events_path.read_text().splitlines() if self.events_path.exists() else []
        return [event for event in map(json.loads, lines) if event["Actor"]["ID"] == self.id]

    def actions(self):
        return [event["Action"] for event in self.events()]

    def log(self, *paths):
        """The entries of the log."""
        return [json.loads(line) for path in paths or (self.log_path,) for line in path.read_bytes().splitlines()]

    def is_locked(self):
        fd = os.open(self.dir / "lock", os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def wait_monitor(self):
        """Until the monitor itself has ended; its exit status."""
        pid = self.process
        status = wait_until(
            lambda: next((s for p, s in [os.waitpid(pid, os.WNOHANG)] if p), False) or _ended(pid), "end"
        )
        self.process = None
        return status

    def cgroups(self):
        # os.walk passes over groups of other containers that go while it looks; pathlib's glob fails on them.
        tree = os.walk("/sys/fs/cgroup")
        return [f"{directory}/{self.id}" for directory, names, _ in tree if self.id in names]

    def tidy(self):
        """Kill what is left of a failed test."""
        if self.client:
            self.client.close()
        if self.process:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.process, 9)
                os.waitpid(self.process, 0)


def _ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def poll_in(fd, timeout_s):
    """Whether something can be read within a time."""
    return bool(select.select([fd], [], [], timeout_s)[0])


def cpu_ticks(pid):
    """Processor time a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_resting(pid):
    """Until a process uses no processor time: one that spins never gets there."""

    def rests():
        before = cpu_ticks(pid)
        time.sleep(0.3)
        return cpu_ticks(pid) == before

    wait_until(rests, f"process {pid} rests")


def log_end(path, size=200):
    """The last bytes of a file that may be large."""
    with open(path, "rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - size, 0))
        return file.read()


def private_kib(pid):
    """Memory that is this monitor's alone however many there are: its program's clean pages are everybody's."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_Dirty"))


def limit_kib(runtime):
    """What is promised of the binary that is shipped, static; a debug build's relocations are pages of its own."""
    with open(runtime, "rb") as file:
        is_position_dependent = file.read(18)[16] == 2  # ET_EXEC (elf(5))
    return 1024 if is_position_dependent else 2048
