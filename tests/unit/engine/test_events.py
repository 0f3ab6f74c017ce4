"""The journal: what a reader makes of it, whatever writers do meanwhile."""

import json
import os

import pytest

from pyctr.engine import Engine
from pyctr.engine.events import matches, parse_event, read_events, read_lines
from pyctr.engine.watch import Watch
from pyctr.errors import InvalidArgument


def event(kind="container", action="start", actor_id="0123abc", **attributes):
    return {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor_id, "Attributes": attributes},
        "scope": "local",
        "time": 1,
        "timeNano": 1_000_000_000,
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["image", "network"]}, False),
        ({"event": ["start", "die"]}, True),
        ({"event": ["star"]}, False),
        ({"container": ["web"]}, True),
        ({"container": ["we"]}, True),
        ({"container": ["0123"]}, True),
        ({"container": ["other", "0123abc"]}, True),
        ({"container": ["eb"]}, False),
        ({"image": ["busybox"]}, True),
        ({"image": ["busybox:latest"]}, True),
        ({"image": ["busybo"]}, False),
        ({"volume": ["web"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=front", "no"]}, False),
        ({"scope": ["local"]}, True),
        ({"scope": ["swarm"]}, False),
        ({"type": ["container"], "event": ["die"]}, False),
    ],
)
def test_matches_as_dockers_filters(filters, expected):
    assert matches(event(name="web", image="busybox:latest", tier="front"), filters) is expected


def test_matches_open_ended_actions_by_their_beginning():
    assert matches(event(action="health_status: healthy"), {"event": ["health_status"]})
    assert matches(event(action="exec_start: sh -c true"), {"event": ["exec_start"]})
    assert not matches(event(action="health_status: healthy"), {"event": ["health_status: unhealthy"]})


def test_matches_image_events_by_name_and_id():
    pulled = event("image", "pull", "sha256:77", name="registry:5000/app:1")
    for name in ("registry:5000/app", "registry:5000/app:1", "sha256:77"):
        assert matches(pulled, {"image": [name]})
    assert not matches(pulled, {"image": ["app"]})


def test_parse_event_has_the_fields_of_old_versions():
    shown = parse_event(json.dumps(event(name="b", image="busybox")).encode())
    assert list(shown)[:3] == ["status", "id", "from"]
    assert (shown["status"], shown["id"], shown["from"]) == ("start", "0123abc", "busybox")
    assert list(shown["Actor"]["Attributes"]) == ["image", "name"]
    assert "status" not in parse_event(json.dumps(event("volume", "create")).encode())


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"Type": "container"}', b'{"Actor": null, "Type": 1, "Action": 2}']
)
def test_parse_event_cut_off_line_is_none(line):
    assert parse_event(line) is None


def write(path, *numbers):
    with open(path, "ab") as file:
        file.write(b"".join(b"%d\n" % number for number in numbers))


def test_read_lines_follows_over_a_change_of_files(tmp_path):
    path = str(tmp_path / "events.jsonl")
    write(path + ".1", 1, 2)
    write(path, 3)
    steps = iter(range(10))

    def goes_on():
        step = next(steps)
        if step == 1:
            write(path, 4)
            os.rename(path, path + ".1")  # a writer that had it open writes on
            write(path + ".1", 5)
        if step == 2:
            write(path, 6)
        if step == 4:
            with open(path, "ab") as file:
                file.write(b"7")  # half a line
        return step < 6

    assert list(read_lines(path, Watch(str(tmp_path), goes_on, left_s=lambda: 0.01))) == [
        b"1",
        b"2",
        b"3",
        b"4",
        b"5",
        b"6",
    ]


def test_read_lines_without_a_journal_is_empty(tmp_path):
    assert list(read_lines(str(tmp_path / "none"), Watch(str(tmp_path), lambda: False))) == []


def test_read_events_since_and_until_bound_the_times(tmp_path):
    lines = [{**event(), "timeNano": moment * 1_000_000_000, "time": moment} for moment in (10, 20, 30)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    engine = Engine(str(tmp_path), str(tmp_path / "run"))
    assert [e["time"] for e in read_events(engine, "15", "25")] == [20]
    assert [e["time"] for e in read_events(engine, "20", None, follow=False)] == [20, 30]
    assert [e["time"] for e in read_events(engine, None, "10")] == [10]


def test_read_events_refuses_at_once(tmp_path):
    engine = Engine(str(tmp_path), str(tmp_path / "run"))
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        read_events(engine, filters={"colour": ["red"]})
    with pytest.raises(InvalidArgument, match="failed to parse value as time or duration"):
        read_events(engine, since="yesterday")
