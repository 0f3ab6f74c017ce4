"""`logs`, and the lines of an attached `up`: each with the name it comes from."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.errors import NotFound, PyctrError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose.plan.observed import Container

#: docker compose's order (cmd/formatter/colors.go): plain ones, then bright ones.
_COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")


def short_name(project: str, container: str) -> str:
    """``web-1`` of ``project-web-1``; a name of its own stays whole."""
    return container.removeprefix(f"{project}-").removeprefix(f"{project}_")


class Printer:
    """Lines of many containers on one output, never mixed within a line."""

    def __init__(self, names: Iterable[str], *, colour: bool, prefix: bool) -> None:
        self.names = list(names)
        self.colour = colour
        self.prefix = prefix
        self.width = max((len(name) for name in self.names), default=0)
        self.lock = threading.Lock()

    def heading(self, name: str) -> bytes:
        """What stands before a line of a container."""
        if not self.prefix:
            return b""
        text = f"{name:<{self.width}}  | "
        if self.colour:
            index = self.names.index(name) if name in self.names else len(self.names)
            text = f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{text}\x1b[0m"
        return text.encode()

    def line(self, name: str, data: bytes) -> None:
        """One line."""
        self.write(self.heading(name) + data.rstrip(b"\r\n") + b"\n")

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        with self.lock:
            sys.stdout.flush()
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]


class Lines:
    """Bytes as they come, cut into lines; what has no end yet waits."""

    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self.emit = emit
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.emit(line)

    def drain(self, reader: int) -> None:
        """Take all of a pipe."""
        while data := os.read(reader, 65536):
            self.feed(data)
        self.close()

    def close(self) -> None:
        """The last line, ended or not."""
        if self.rest:
            self.emit(self.rest)
            self.rest = b""


def copy_log(context: ComposeContext, container: Container, name: str, printer: Printer, how: dict[str, Any]) -> None:
    """One container's log, line by line. A container removed meanwhile has said all it had to say."""
    outputs: dict[str, Lines] = {}
    try:
        for stream, data in context.engine.containers.logs(container.id, **how):
            lines = outputs.setdefault(stream, Lines(lambda line: printer.line(name, line)))
            lines.feed(data)
    except (NotFound, FileNotFoundError):
        pass
    for lines in outputs.values():
        lines.close()


def copy_what_can_be_read(
    context: ComposeContext, container: Container, name: str, printer: Printer, how: dict[str, Any]
) -> None:
    """One container's log; a driver that keeps none is told of, the others' logs are shown."""
    try:
        copy_log(context, container, name, printer, how)
    except StateError as error:
        common.warn(f'Can\'t retrieve logs for "{container.name}": {error}')


def logs(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Show what containers wrote."""
    project, found = common.chosen(context, arguments, one_off=True)
    if "index" in values and common.integer(values["index"], "--index"):
        found = [item for item in found if item.number == int(values["index"])]
    labelled = [(item, short_name(project.name, item.name)) for item in found]
    printer = Printer(
        [name for _, name in labelled],
        colour=common.use_colour(context, values),
        prefix=not values.get("no_log_prefix"),
    )
    how = {
        "follow": bool(values.get("follow")),
        "tail": values.get("tail"),
        "since": values.get("since"),
        "until": values.get("until"),
        "timestamps": bool(values.get("timestamps")),
    }
    if not how["follow"]:
        for item, name in labelled:
            copy_what_can_be_read(context, item, name, printer, how)
        return 0
    return follow(context, labelled, printer, how)


def follow(
    context: ComposeContext, labelled: list[tuple[Container, str]], printer: Printer, how: dict[str, Any]
) -> int:
    """Every log at once, until each container has ended."""
    failures: list[BaseException] = []

    def copy(item: Container, name: str) -> None:
        try:
            copy_what_can_be_read(context, item, name, printer, how)
        except (PyctrError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=copy, args=entry, daemon=True) for entry in labelled]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
    if failures:
        raise failures[0]
    return 0
