"""The server: a unix socket, HTTP/1.1 by h11, a coroutine a connection, handlers in threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import h11

from pyctr import __version__
from pyctr.api.http import Hijack, Request, Response, Stream, error_status, refusal
from pyctr.api.router import NEWEST, find, routes
from pyctr.api.starts import Starts
from pyctr.engine import Engine
from pyctr.errors import CommandNotExecutable, PyctrError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from pyctr.api.router import Answer, Route

#: Of a request that is held in memory; archives are streamed.
BODY_MAX_BYTES = 16 << 20
_CHUNK = 1 << 16
#: Calls that block at once. What goes on for long (`wait`, `logs -f`, attach) has a thread of its own, so that no number of
#: them keeps a `start` or a `stop` from being carried out.
_THREADS = 64
_HEADERS = [
    ("Api-Version", ".".join(map(str, NEWEST))),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"pyctr/{__version__} (linux)"),
]


class Disconnected(Exception):
    """The client has gone."""


class TooLarge(Exception):
    """A body that is held in memory is longer than that."""


def in_thread(function: Callable[[], object]) -> asyncio.Future[None]:
    """Run a function in a thread of its own; done when it is."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(None) if error is None else ended.set_exception(error)

    def run() -> None:
        failure: BaseException | None = None
        try:
            function()
        except BaseException as error:  # noqa: BLE001 (raised again by who awaits)
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended: the server stops
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="api-stream", daemon=True).start()
    return ended


class Connection:
    """One client's connection."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.http = h11.Connection(h11.SERVER)
        self.loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """Requests one after the other, until one side closes or the connection is taken over."""
        try:
            while await self._serve_one():
                self.http.start_next_cycle()
        except (Disconnected, ConnectionError, h11.RemoteProtocolError):
            return
        except h11.LocalProtocolError:  # the client stopped in the middle of a request
            return
        finally:
            self.sock.close()

    async def _event(self) -> h11.Event:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.http.receive_data(await self.loop.sock_recv(self.sock, _CHUNK))

    async def _serve_one(self) -> bool:
        """A request; whether another may follow."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            return False
        request = self._request(event)
        route, names, refused = find(self.server.table, request)
        if self.http.they_are_waiting_for_100_continue:
            await self._send(self.http.send(h11.InformationalResponse(status_code=100, headers=[])))
        if route is None or refused is not None:
            await self._drain()
            await self._respond(request, refused or refusal("page not found", 404))
        elif route.uploads:
            await self._respond(request, await self._upload(request, route, names))
        else:
            try:
                request.body = await self._body()
            except TooLarge:
                await self._respond(request, refusal(f"request body is longer than {BODY_MAX_BYTES} bytes", 413))
                return False
            result = await self._call(lambda: handle(route, request, names))
            if isinstance(result, Hijack):
                await self._hand_over(request, result)
                return False
            await self._respond(request, result)
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE

    def _request(self, event: h11.Request) -> Request:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in event.headers}
        engine = self.server.make_engine()
        return Request(event.method.decode(), event.target.decode("latin-1"), headers, engine, self.server.starts)

    async def _call(self, function: Callable[[], Answer]) -> Answer:
        return await self.loop.run_in_executor(self.server.threads, function)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise Disconnected

    async def _body(self) -> bytes:
        parts, total = [], 0
        async for chunk in self._chunks():
            total += len(chunk)
            if total > BODY_MAX_BYTES:
                raise TooLarge
            parts.append(chunk)
        return b"".join(parts)

    async def _drain(self) -> None:
        async for _ in self._chunks():
            pass

    async def _upload(self, request: Request, route: Route, names: dict[str, str]) -> Answer:
        """Call a handler with the body as a pipe, filled while it comes."""
        request.upload, writer = os.pipe()
        task = asyncio.ensure_future(self._call(lambda: handle(route, request, names)))
        task.add_done_callback(lambda _: os.close(request.upload))
        wanted = True
        try:
            async for chunk in self._chunks():
                if wanted:
                    wanted = await self.loop.run_in_executor(self.server.threads, write_all, writer, chunk)
        finally:
            os.close(writer)
        return await task

    async def _send(self, data: bytes | None) -> None:
        if data:
            await self.loop.sock_sendall(self.sock, data)

    async def _respond(self, request: Request, result: Answer) -> None:
        if isinstance(result, Stream):
            await self._stream(request, result)
            return
        assert isinstance(result, Response)  # noqa: S101 (the others are dealt with)
        headers = [*_HEADERS, *result.headers.items()]
        if result.content_type:
            headers.append(("Content-Type", result.content_type))
        if result.status not in (204, 304):
            headers.append(("Content-Length", str(len(result.body))))
        data = self.http.send(h11.Response(status_code=result.status, headers=headers)) or b""
        if request.method != "HEAD" and result.body:
            data += self.http.send(h11.Data(data=result.body)) or b""
        await self._send(data + (self.http.send(h11.EndOfMessage()) or b""))

    async def _stream(self, request: Request, result: Stream) -> None:
        """Send pieces as they come; when the client goes, whoever makes them is told to stop."""
        kind = [("Content-Type", result.content_type), ("Transfer-Encoding", "chunked")]
        headers = [*_HEADERS, *result.headers.items(), *kind]
        await self._send(self.http.send(h11.Response(status_code=result.status, headers=headers)))
        watcher = asyncio.ensure_future(self._watch(request))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(16)
        producer = in_thread(lambda: self._produce(request, result.chunks, queue))
        try:
            while (chunk := await queue.get()) is not None:
                await self._send(self.http.send(h11.Data(data=chunk)))
            await producer
            watcher.cancel()
            await asyncio.wait((watcher,))
            await self._send(self.http.send(h11.EndOfMessage()))
        finally:
            request.cancelled.set()
            watcher.cancel()
            while not producer.done():  # it may wait for room
                with contextlib.suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
                await asyncio.sleep(0.005)

    def _produce(self, request: Request, chunks: Iterator[bytes], queue: asyncio.Queue[bytes | None]) -> None:
        """In a thread: put what an iterator gives into the queue, and None at its end."""

        def put(item: bytes | None) -> None:
            asyncio.run_coroutine_threadsafe(queue.put(item), self.loop).result()

        try:
            for chunk in chunks:
                if request.cancelled.is_set():
                    break
                if chunk:
                    put(chunk)
        except Exception as error:  # noqa: BLE001 (headers are out: all that is left is to end, and to say why here)
            self.server.log(f"{request.method} {request.path}: {error}")
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
            put(None)

    async def _watch(self, request: Request) -> None:
        """The client says nothing while it reads; that it ends is worth knowing."""
        with contextlib.suppress(OSError):
            data = await self.loop.sock_recv(self.sock, _CHUNK)
            if data:
                self.http.receive_data(data)
            else:
                request.cancelled.set()

    async def _hand_over(self, request: Request, result: Hijack) -> None:
        """Answer, and give the connection away."""
        upgrade = request.headers.get("upgrade", "").lower() == "tcp"
        head = (
            f"HTTP/1.1 {'101 UPGRADED' if upgrade else '200 OK'}\r\nContent-Type: {result.content_type}\r\n"
            + ("Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else "")
            + "".join(f"{name}: {value}\r\n" for name, value in _HEADERS)
            + "\r\n"
        )
        await self.loop.sock_sendall(self.sock, head.encode())
        early = self.http.trailing_data[0]
        await in_thread(lambda: result.serve(self.sock, early))


def write_all(fd: int, data: bytes) -> bool:
    """Write to a pipe; False once nobody reads it any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError:
        return False
    return True


def handle(route: Route, request: Request, names: dict[str, str]) -> Answer:
    """Call a handler; errors become answers."""
    try:
        return route.handler(request, **names)
    except PyctrError as error:
        text = f"{error} ({error.hint})" if error.hint else str(error)
        if isinstance(error, CommandNotExecutable):  # by these words the client knows exit code 126
            text = text.replace("Permission denied", "permission denied")
        return refusal(text, error_status(error))
    except OSError as error:
        return refusal(f"{error.filename or 'system call'}: {error.strerror}", 500)
    except Exception as error:  # noqa: BLE001 (one request's mistake must not end the others')
        import traceback

        sys.stderr.write(traceback.format_exc())
        return refusal(f"{type(error).__name__}: {error}", 500)


class Server:
    """Everything connections share."""

    def __init__(self, engine: Engine, *, debug: bool = False) -> None:
        self.engine = engine
        self.table = routes()
        self.starts = Starts()
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="api")
        self.debug = debug
        self._connections: set[asyncio.Task[None]] = set()

    def make_engine(self) -> Engine:
        """An engine for one request: nothing one leaves on it reaches another."""
        mine = self.engine
        return Engine(mine.root, mine.run_root, runtime=mine.runtime, config_file=mine._config_file)

    def log(self, text: str) -> None:
        """A line on stderr."""
        sys.stderr.write(f"pyctr serve: {text}\n")

    async def run(self, listener: socket.socket, stopped: asyncio.Event) -> None:
        """Accept until told to stop."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        stopping = asyncio.ensure_future(stopped.wait())
        while not stopped.is_set():
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            await asyncio.wait((accepting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                accepting.cancel()
                break
            try:
                sock, _ = accepting.result()
            except OSError as error:  # out of descriptors: those in use will end
                self.log(f"accept: {error.strerror}")
                await asyncio.sleep(0.1)
                continue
            sock.setblocking(False)
            task = asyncio.ensure_future(Connection(self, sock).serve())
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        self.starts.close()
        for task in list(self._connections):
            task.cancel()
