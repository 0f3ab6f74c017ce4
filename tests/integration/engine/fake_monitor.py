"""A monitor for tests of the client side: the protocol of docs/design.md around an ordinary child, no isolation.

Started as the real one is: ``monitor CONTAINER_DIR`` with the first client on descriptor 3 and the lock on 4.
"""

import array
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time


def stamp():
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"


def start_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def read_json(path):
    with open(path) as file:
        return json.load(file)


def write_atomic(path, value):
    with open(path + ".tmp", "w") as file:
        json.dump(value, file)
    os.rename(path + ".tmp", path)


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.fds = {}
        self.wants_exit = self.watches = False

    def receive(self):
        try:
            data, ancillary, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(12))
        except ConnectionResetError:
            return None, []
        fds = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        return (json.loads(data) if data else None), list(fds)

    def send(self, **event):
        with contextlib.suppress(OSError):
            self.sock.send(json.dumps(event).encode())


class Monitor:
    def __init__(self, directory):
        self.directory = directory
        self.request = read_json(directory + "/monitor.json")
        self.spec = read_json(directory + "/spec.json")
        self.selector = selectors.DefaultSelector()
        self.clients = []
        self.state = {"version": 1, "status": "created", "restart_count": 0, "stopped_by_user": False}
        self.pipes = {}
        self.log = open(self.request["log"]["path"], "ab") if self.request["log"]["driver"] == "json-file" else None  # noqa: SIM115

    def save(self, **changes):
        self.state |= changes
        write_atomic(self.directory + "/state.json", self.state)

    def add(self, sock):
        client = Client(sock)
        self.clients.append(client)
        self.selector.register(sock, selectors.EVENT_READ, client)
        return client

    def run(self):
        first = self.add(socket.socket(fileno=3))
        self.handle(first)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(self.request["run_dir"], os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/sock")
        listener.listen(64)
        self.selector.register(listener, selectors.EVENT_READ, "accept")
        if not self.launch(first):
            return
        while self.pipes or not self.ended():
            for key, _ in self.selector.select(0.02):
                if key.data == "accept":
                    self.add(listener.accept()[0])
                elif isinstance(key.data, Client):
                    self.handle(key.data)
                else:
                    self.copy(key.fd, key.data)
        self.finish()

    def launch(self, first):
        args, env = self.spec["process"]["args"], self.spec["process"]["env"]
        path = shutil.which(args[0])
        if path is None:
            first.send(event="error", message=f"exec {args[0]}: executable file not found in $PATH", code=127)
            shutil.rmtree(self.request["run_dir"])
            return False
        out, err, inn, execed = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            for source, target in ((inn[0], 0), (out[1], 1), (err[1], 2)):
                os.dup2(source, target)
            os.closerange(3, 256)
            os.setsid()
            os.execve(path, args, dict(variable.split("=", 1) for variable in env))
        self.pid = pid
        for fd in (inn[0], out[1], err[1], execed[1]):
            os.close(fd)
        os.read(execed[0], 1)  # the end of the file: the child has let go of the lock too
        os.close(execed[0])
        self.pipes = {out[0]: "stdout", err[0]: "stderr"}
        for fd, stream in self.pipes.items():
            self.selector.register(fd, selectors.EVENT_READ, stream)
        if "stdin" in first.fds:
            data = b"".join(iter(lambda: os.read(first.fds["stdin"], 65536), b""))
            os.write(inn[1], data)
        os.close(inn[1])
        self.save(status="running", pid=pid, pid_start=start_time(pid), monitor_pid=os.getpid(), started_at=stamp())
        self.broadcast(lambda client: client.watches or client.fds, event="started", pid=pid)
        return True

    def copy(self, fd, stream):
        data = os.read(fd, 65536)
        if not data:
            self.selector.unregister(fd)
            os.close(fd)
            del self.pipes[fd]
            return
        for client in self.clients:
            if stream in client.fds:
                os.write(client.fds[stream], data)
        if self.log:
            for line in data.splitlines(keepends=True):
                entry = {"log": line.decode(), "stream": stream, "time": stamp()}
                self.log.write(json.dumps(entry).encode() + b"\n")
            self.log.flush()

    def handle(self, client):
        message, fds = client.receive()
        if message is None:
            self.selector.unregister(client.sock)
            client.sock.close()
            self.clients.remove(client)
            return
        op = message["op"]
        if op == "attach":
            names = [name for name in ("stdin", "stdout", "stderr") if message[name]]
            client.fds = dict(zip(names, fds, strict=True))
            client.wants_exit = True
        elif op == "watch":
            client.watches = True
        elif op == "wait":
            client.wants_exit = True
        elif op in ("signal", "kill"):
            if op == "kill" and message["signal"] in (9, self.request["stop_signal"]):
                self.state["stopped_by_user"] = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, message["signal"])
            if op == "kill":
                client.send(event="ok")
        elif op == "resize":
            pass  # no terminal here

    def broadcast(self, which, **event):
        for client in self.clients:
            if which(client):
                client.send(**event)

    def ended(self):
        if "exit_code" in self.state:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            self.state["exit_code"] = code if code >= 0 else 128 - code
        return bool(pid)

    def finish(self):
        self.save(status="exited", pid=0, finished_at=stamp(), oom_killed=False, error="")
        removal = self.request["remove"]
        if removal:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(removal["name"])
        self.broadcast(lambda c: c.wants_exit, event="exited", code=self.state["exit_code"], oom_killed=False)
        shutil.rmtree(self.request["run_dir"], ignore_errors=True)
        if removal:
            shutil.rmtree(self.directory, ignore_errors=True)
            for volume in removal["volumes"]:
                shutil.rmtree(volume, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Monitor(sys.argv[2]).run()
