from __future__ import annotations

import math

import pytest

from pyctr.compose.render import to_yaml
from pyctr.compose.scalars import go_float, quoted, resolve
from pyctr.compose.shape import Map
from pyctr.compose.units import duration_ns, go_duration, to_bytes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("TRUE", True), ("010", 8), ("0o10", 8),
        ("0x1F", 31), ("0b11", 3), ("08", 8.0), ("22:22", "22:22"), ("1_000", 1000), ("1e3", 1000.0), (".5", 0.5), ("~", None),
        ("null", None), ("", None), ("+5", 5), ("-0x10", -16), ("1.2.3", "1.2.3"), ("0x", "0x"), ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 1.8446744073709552e19), (".inf", math.inf), ("-.inf", -math.inf), ("2001-13-01", "2001-13-01"),
        ("-", "-"), ("1.", 1.0), ("1e", "1e"), ("e3", "e3"),
    ],
)  # fmt: skip
def test_resolve_follows_go_yaml(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize("text", ["yes", "n", "on", "22:22", "190:20:30", "1", "null", "~", "", "true", "2001-01-01"])
def test_strings_that_look_like_something_else_are_quoted(text: str) -> None:
    assert quoted(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.5, "1.5"), (1000.0, "1000"), (1e21, "1e+21"), (1e20, "1e+20"), (1e-5, "1e-05"), (0.0001, "0.0001"),
     (123456789.5, "1.234567895e+08"), (0.0, "0"), (-2.25, "-2.25"), (1.8446744073709552e19, "1.8446744073709552e+19")],
)  # fmt: skip
def test_go_float_prints_the_shortest_digits(number: float, text: str) -> None:
    assert go_float(number) == text


@pytest.mark.parametrize(
    ("text", "nanos", "printed"),
    [("1m30s", 90 * 10**9, "1m30s"), ("90s", 90 * 10**9, "1m30s"), ("1.5s", 1_500_000_000, "1.5s"), ("300ms", 300 * 10**6, "300ms"),
     ("1h", 3600 * 10**9, "1h0m0s"), ("2d", 172_800 * 10**9, "48h0m0s"), ("0", 0, "0s"), ("1us", 1000, "1µs"), ("-5s", -5 * 10**9, "-5s")],
)  # fmt: skip
def test_durations_are_gos(text: str, nanos: int, printed: str) -> None:
    assert duration_ns(text) == nanos
    assert go_duration(nanos) == printed


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1m 2s", "99999999999h", "1.2.3s"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        duration_ns(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("64m", 64 << 20), ("1.5g", 3 << 29), ("5b", 5), ("1gb", 1 << 30), ("12KiB", 12 << 10), ("7", 7)],
)
def test_sizes_are_binary(text: str, count: int) -> None:
    assert to_bytes(text) == count


def test_empty_things_are_printed_as_go_does() -> None:
    model = {"name": "demo", "services": Map(a={"command": None, "volume": {}, "list": [], "ipam": {}, "n": "1"})}
    assert to_yaml(model) == 'name: demo\nservices:\n  a:\n    volume: {}\n    list: []\n    "n": "1"\n'
