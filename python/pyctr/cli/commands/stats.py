"""`stats` and `top`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from pyctr.cli.human import binary_size, columns, size
from pyctr.errors import NotFound

if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.engine.containers.stats import Sample

_INTERVAL_S = 1.0
_HEADERS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
_DEFAULT = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_CLEAR = "\033[2J\033[H"
_SHORT = 12
_TOP_WIDTH = 20


def stats(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show what containers use, again and again, or once."""
    watched = [engine.containers.resolve(name) for name in arguments]
    before = read(engine, watched, options)
    live = not options.get("no_stream")
    try:
        while True:
            time.sleep(_INTERVAL_S)
            now = read(engine, watched, options)
            show(engine, options, before, now, clear=live and sys.stdout.isatty())
            if not live or (watched and not now):
                return 0
            before = now
    except KeyboardInterrupt:
        return 0


def read(engine: Engine, watched: list[str], options: dict[str, Any]) -> dict[str, Sample | None]:
    """A sample of each: of those named, else of those that run, or of all."""
    ids = watched or [item.id for item in engine.containers.list(all=options.get("all", False))]
    samples = {}
    for container_id in ids:
        try:
            samples[container_id] = engine.containers.sample(container_id)
        except NotFound:
            continue  # removed meanwhile
    return samples


def show(
    engine: Engine,
    options: dict[str, Any],
    before: dict[str, Sample | None],
    now: dict[str, Sample | None],
    *,
    clear: bool,
) -> None:
    """Print one table."""
    rows = []
    for container_id, sample in now.items():
        try:
            name = engine.containers.store.record(container_id)["Name"].removeprefix("/")
        except NotFound:
            continue
        whole = options.get("no_trunc", False)
        rows.append(row(container_id if whole else container_id[:_SHORT], name, before.get(container_id), sample))
    if clear:
        sys.stdout.write(_CLEAR)
    template = options.get("format")
    if template in (None, "table"):
        sys.stdout.write(
            columns([_HEADERS[name] for name in _DEFAULT], [[entry[n] for n in _DEFAULT] for entry in rows])
        )
    else:
        from pyctr.cli.format import print_rows

        print_rows(template, rows, _HEADERS)
    sys.stdout.flush()


def row(shown_id: str, name: str, before: Sample | None, now: Sample | None) -> dict[str, str]:
    """What a template may ask; zeros for what does not run."""
    entry = {"BlockIO": "0B / 0B", "CPUPerc": "0.00%", "Container": shown_id, "ID": shown_id, "MemPerc": "0.00%"}
    entry |= {"MemUsage": "0B / 0B", "Name": name, "NetIO": "0B / 0B", "PIDs": "0"}
    if now is None:
        return entry
    percent = now.cpu_percent(before) if before is not None else 0.0
    return {
        **entry,
        "BlockIO": " / ".join(size(number) for number in now.block),
        "CPUPerc": f"{percent:.2f}%",
        "MemPerc": f"{now.memory_percent():.2f}%",
        "MemUsage": f"{binary_size(now.memory)} / {binary_size(now.memory_limit)}",
        "NetIO": " / ".join(size(number) for number in now.network),
        "PIDs": str(now.pids),
    }


def top(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Show the processes of a container."""
    titles, rows = engine.containers.top(arguments[0], arguments[1:])
    widths = [
        max(_TOP_WIDTH - 3, *(len(line[index]) for line in [titles, *rows])) + 3 for index in range(len(titles) - 1)
    ]
    for line in [titles, *rows]:
        padded = "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False))
        sys.stdout.write(padded + line[-1] + "\n")
    return 0
