"""Network rows: a start on the default bridge, the first and the last of many published ports, throughput and latency.

``PYCTR_BENCH_PORTS`` is how many ports "many" is (1000), ``PYCTR_BENCH_SECONDS`` how long iperf3 runs (3). Peers: runc (which makes no
network), docker by a dockerd of its own, podman. Needs busybox-static and iperf3. All of it in a network namespace made for it, so that
nothing of the machine's is touched.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benches.race import Contender, find, race

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PORTS = 1000
_SECONDS = 3
_FIRST_PORT = 20_000
_IPERF_PORT = 5201
_PINGS = 200


def run(*argv: str, env: dict[str, str] | None = None, code: int | None = 0) -> str:
    """Run what must work; its output."""
    done = subprocess.run(argv, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if code is not None and done.returncode != code:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr[-500:]}")
    return done.stdout


class Engine:
    """A container engine by its command line, with an image whose root is the machine's own programs."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], scratch: Path, limits: tuple[str, ...] = ()
    ) -> None:
        self.name, self.command, self.env, self.scratch, self.limits = name, command, env, scratch, limits

    def __call__(self, *words: str, code: int | None = 0) -> str:
        return run(*self.command, *words, env=self.env, code=code)

    def start(self, name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """A container that runs one of the machine's programs; its address."""
        machine = ("-v", "/:/host:ro", "-v", f"{self.scratch}:/host/tmp", "busybox", "/bin/busybox", "chroot", "/host")
        self("run", "-d", "--name", name, "--cap-add", "NET_RAW", *self.limits, *options, *machine, *words)
        networks = json.loads(self("inspect", name))[0]["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def remove(self, *names: str) -> None:
        """Take containers away."""
        self("rm", "-f", *names, code=None)


@contextmanager
def own_network() -> Iterator[None]:
    """A network namespace for this process and all it starts."""
    new_network = 0x4000_0000  # CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(new_network):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        libc.setns(home, new_network)
        os.close(home)


def engines(base: Path, stack: ExitStack) -> list[Engine]:
    """Ours first; then peers that work here, with the same image of busybox. They end with `stack`."""
    from tests.peers import PODMAN_LIMITS, podman_with, running_dockerd

    env = {"PYCTR_ROOT": f"{base}/root", "PYCTR_RUN_ROOT": f"{base}/run"}
    scratch = base / "scratch"  # iperf3 wants a place for what it sends
    scratch.mkdir()
    ours = Engine("pyctr", [f"{os.path.dirname(sys.executable)}/pyctr"], env, scratch)
    ours("image", "bootstrap", "busybox")
    found = [ours]
    archive = base / "busybox.tar"
    root = base / "image"
    (root / "bin").mkdir(parents=True)
    for name in ("host", "proc", "sys", "dev"):
        (root / name).mkdir()
    run("cp", "/bin/busybox", f"{root}/bin/busybox")
    run("tar", "-C", str(root), "-cf", str(archive), ".")
    peers = []
    if find("dockerd") and find("docker"):
        peer = stack.enter_context(running_dockerd(network=True))
        peers.append(Engine("docker", peer.command, peer.environment or {}, scratch))
    if find("podman") and find("runc"):
        peer = stack.enter_context(podman_with("--cgroup-manager", "cgroupfs", "--runtime", str(find("runc"))))
        peers.append(Engine("podman", peer.command, {}, scratch, tuple(PODMAN_LIMITS)))
    for engine in peers:
        engine("import", str(archive), "busybox", code=None)
        trial = [*engine.command, "run", "--rm", *engine.limits, "busybox", "/bin/busybox", "true"]
        if subprocess.run(trial, env={**os.environ, **engine.env}, capture_output=True, check=False).returncode:
            print(f"  ({engine.name} does not run here)")
        else:
            found.append(engine)
    return found


def runc(base: Path) -> list[Contender]:
    """`runc run` of the same root file system, without a network to speak of."""
    program = find("runc")
    if program is None:
        return []
    bundle = base / "bundle"
    bundle.mkdir()
    run(program, "spec", "-b", str(bundle))
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"] |= {"terminal": False, "args": ["/bin/busybox", "true"]}
    spec["root"]["path"] = str(base / "image")
    (bundle / "config.json").write_text(json.dumps(spec))
    command = [program, "--root", f"{base}/runc", "run", "-b", str(bundle)]
    return [Contender("runc run", lambda number: [*command, f"net{number}"], 1.2)]


def bridge_start(base: Path, found: list[Engine], rounds: int) -> None:
    """`run --rm IMAGE true` with the default bridge."""
    promise = {"docker": 0.1, "podman": 0.1}
    contenders = [
        Contender(
            engine.name,
            lambda _, engine=engine: [
                str(find(engine.command[0])), *engine.command[1:], "run", "--rm", *engine.limits,
                "busybox", "/bin/busybox", "true",
            ],
            promise.get(engine.name),
            engine.env,
        )
        for engine in found
    ]  # fmt: skip
    race("run --rm IMAGE true, default bridge", contenders[0], [*runc(base), *contenders[1:]], rounds)


def publish(base: Path, ours: Engine, rounds: int) -> None:
    """One more published port beside none and beside many, in turn: both are to cost the same."""
    many = int(os.environ.get("PYCTR_BENCH_PORTS", _PORTS))
    env = {"PYCTR_ROOT": f"{base}/crowded", "PYCTR_RUN_ROOT": f"{base}/crowded-run"}
    crowded = Engine("crowded", ours.command, env, ours.scratch)
    crowded("image", "bootstrap", "busybox")
    last = _FIRST_PORT + many - 2
    crowded(
        "run", "-d", "--name", "many", "-p", f"{_FIRST_PORT}-{last}:{_FIRST_PORT}-{last}", "busybox", "sleep", "1000"
    )

    def contender(name: str, engine: Engine, port: int, promise: float | None = None) -> Contender:
        words = ["run", "-d", "--name", "one", "-p", f"{port}:80", "busybox", "sleep", "1000"]
        argv = [*engine.command, *words]
        return Contender(name, lambda _: argv, promise, engine.env, after=lambda _: engine.remove("one"))

    first = contender("number 1", ours, _FIRST_PORT - 1, 1.1)
    race(f"published port number {many}", contender(f"number {many}", crowded, last + 1), [first], rounds)
    crowded.remove("many")


def traffic(found: list[Engine]) -> None:
    """iperf3 and ping: container to container, host to container, host to published port."""
    iperf3, seconds = str(find("iperf3")), os.environ.get("PYCTR_BENCH_SECONDS", str(_SECONDS))
    print(f"\nthroughput ({seconds} s of iperf3, Gbit/s) and round trip (ms)")
    for engine in found:
        name = f"bench{os.getpid()}"
        try:
            server = engine.start(
                name, iperf3, "-s", "-p", str(_IPERF_PORT), options=("-p", f"{_FIRST_PORT}:{_IPERF_PORT}")
            )
            engine.start(name + "c", "sleep", "1000")
            time.sleep(0.5)
            command = ("iperf3", "-J", "-t", seconds)
            within = ("exec", name + "c", "/bin/busybox", "chroot", "/host")
            between = engine(*within, *command, "-c", server, "-p", str(_IPERF_PORT))
            direct = run(*command, "-c", server, "-p", str(_IPERF_PORT))
            published = run(*command, "-c", "127.0.0.1", "-p", str(_FIRST_PORT))
            pings = engine(
                "exec", name + "c", "/bin/busybox", "ping", "-q", "-A", "-c", str(_PINGS), server
            ).splitlines()
            rates = "  ".join(
                f"{label} {gigabits(text):6.2f}"
                for label, text in (("between", between), ("from host", direct), ("published", published))
            )
            print(f"  {engine.name:10} {rates}  rtt {pings[-1].partition('=')[2].strip()}")
        finally:
            engine.remove(name, name + "c")


def gigabits(text: str) -> float:
    """What iperf3 measured."""
    return float(json.loads(text)["end"]["sum_received"]["bits_per_second"]) / 1e9


def rows(base: Path, rounds: int) -> None:
    """All rows."""
    if find("iperf3") is None:
        raise SystemExit("network rows need iperf3")
    with own_network(), ExitStack() as stack:
        found = engines(base, stack)
        bridge_start(base, found, rounds)
        publish(base, found[0], rounds)
        traffic(found)
