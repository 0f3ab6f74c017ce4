"""Reading json-file logs: tails, rotation, broken lines."""

import gzip
import itertools
import json
import os
import threading
import time

import pytest

from pyctr._core import LogDecoder
from pyctr.engine import times
from pyctr.engine.containers import logs
from pyctr.engine.containers.logs import Window, follow_log, open_files, parse_tail, read_log
from pyctr.engine.watch import Watch
from pyctr.errors import InvalidArgument


def line(number, stream="stdout", moment=None):
    stamp = times.format_time(moment if moment is not None else time.time_ns())
    return json.dumps({"log": f"{number}\n", "stream": stream, "time": stamp}).encode() + b"\n"


def append(path, *numbers):
    with open(path, "ab") as file:
        for number in numbers:
            file.write(line(number))


def decoder(**window):
    return LogDecoder("json-file", **window)


def numbers(shown):
    return [int(text) for _, data in shown for text in data.split()]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x-json.log")


def rotate(path):
    count = next(number for number in itertools.count(1) if not os.path.exists(f"{path}.{number}"))
    for number in range(count, 1, -1):
        os.rename(f"{path}.{number - 1}", f"{path}.{number}")
    os.rename(path, path + ".1")


@pytest.mark.parametrize("count", [0, 1, 3, 7, 100, None])
def test_read_log_spans_rotated_and_compressed_files(path, count):
    append(path, *range(4))
    with open(path, "rb") as file:
        content = file.read()
    with gzip.open(path + ".2.gz", "wb") as file:
        file.write(content)
    os.unlink(path)
    append(path + ".1", 4, 5, 6)
    append(path, 7, 8)
    every = list(range(9))
    assert numbers(read_log(path, count, decoder())) == (
        every if count is None else every[len(every) - min(count, 9) :]
    )


def test_read_log_of_a_long_file_reads_backwards(path):
    append(path, *range(5000))
    assert numbers(read_log(path, 3, decoder())) == [4997, 4998, 4999]
    assert numbers(read_log(path, 4000, decoder()))[0] == 1000


def test_read_log_without_a_file_is_empty(path):
    assert list(read_log(path, 5, decoder())) == []
    assert list(read_log(path, None, decoder())) == []


def test_unfinished_and_broken_lines_are_passed_over(path):
    append(path, 1)
    with open(path, "ab") as file:
        file.write(b"garbage\n" + line(2) + b'{"log":"half')
    assert list(read_log(path, None, decoder())) == [("stdout", b"1\n2\n")]


def test_window_bounds_are_inclusive(path):
    with open(path, "wb") as file:
        file.writelines(line(second, moment=second * 10**9) for second in range(5, 25))
    window = Window(since="10", until="20", timestamps=False, details=False)
    assert numbers(read_log(path, None, window.decoder("json-file"))) == list(range(10, 21))
    stamped = Window(since="24", until=None, timestamps=True, details=False).decoder("json-file")
    assert list(read_log(path, None, stamped)) == [("stdout", b"1970-01-01T00:00:24.000000000Z 24\n")]


@pytest.mark.parametrize(("text", "expected"), [(None, None), ("all", None), ("-1", None), ("5", 5), (0, 0)])
def test_parse_tail(text, expected):
    assert parse_tail(text) == expected


def test_parse_tail_refuses_words():
    with pytest.raises(InvalidArgument):
        parse_tail("some")


def watch(path, goes_on):
    """Nothing tells these followers that what they follow has ended: they look."""
    return Watch(os.path.dirname(path), goes_on, left_s=lambda: 0.01)


def test_follow_reads_across_rotations_and_ends_with_the_container(path):
    append(path, 0, 1)
    running = threading.Event()
    running.set()

    def write():
        for start in range(2, 12, 2):
            time.sleep(0.02)
            append(path, start)
            rotate(path)
            append(path, start + 1)
        running.clear()

    writer = threading.Thread(target=write)
    writer.start()
    got = numbers(follow_log(path, None, decoder(), watch(path, running.is_set)))
    writer.join()
    assert got == list(range(12))


def test_follow_with_tail_begins_there(path):
    append(path, *range(10))
    got = numbers(follow_log(path, 2, decoder(), watch(path, lambda: False)))
    assert got == [8, 9]


def test_follow_joins_a_line_written_in_two_pieces(path):
    whole = line(7)
    with open(path, "wb") as file:
        file.write(whole[:10])
    states = itertools.chain([True, True], itertools.repeat(False))

    def running():
        state = next(states)
        if not state and os.path.getsize(path) < len(whole):
            with open(path, "ab") as file:
                file.write(whole[10:])
        return state

    assert [text for _, text in follow_log(path, None, decoder(), watch(path, running))] == [b"7\n"]


class BusyDecoder:
    """One during whose looks at a file something else is done to it."""

    def __init__(self, work):
        self._decoder = decoder()
        self._work = work

    def __getattr__(self, name):
        def look(*args):
            found = getattr(self._decoder, name)(*args)
            next(self._work, None)
            return found

        return look


def test_what_is_written_while_a_follower_begins_is_shown_once(path):
    append(path, 0)
    work = (append(path, number) for number in range(1, 5))
    assert numbers(follow_log(path, None, BusyDecoder(work), watch(path, lambda: False))) == [0, 1, 2, 3, 4]


def test_what_is_written_between_a_look_and_a_rotation_is_not_lost(path, monkeypatch):
    append(path, 0)
    found = logs.next_file

    def next_file(*args):
        if not os.path.exists(path + ".1"):
            append(path, 1)
            rotate(path)
            append(path, 2)
        return found(*args)

    monkeypatch.setattr(logs, "next_file", next_file)
    assert numbers(follow_log(path, None, decoder(), watch(path, lambda: False))) == [0, 1, 2]


def test_files_that_are_rotated_while_they_are_opened_are_all_there_once(path, monkeypatch):
    for number in range(3):
        append(path, number)
        rotate(path)
    append(path, 3)
    opened, turns = logs.open_log, itertools.count()

    def open_log(name):
        found = opened(name)
        if next(turns) < 2:
            rotate(path)
            append(path, 100)  # too late to be among them
        return found

    monkeypatch.setattr(logs, "open_log", open_log)
    assert numbers(read_log(path, None, decoder())) == [0, 1, 2, 3]


def test_a_gap_among_the_files_while_they_are_renamed_hides_none(path):
    append(path, 0)
    rotate(path)
    rotate_gap = path + ".2"
    os.rename(path + ".1", rotate_gap)
    append(path, 1)
    assert numbers(read_log(path, None, decoder())) == [0, 1]
    older, current = open_files(path)
    assert len(older) == 1
    for fd in (*older, current):
        os.close(fd)
