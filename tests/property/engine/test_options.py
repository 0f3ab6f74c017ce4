"""Option parsers by the thousand: what is written is read back, and nothing but InvalidArgument is ever raised."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctr.engine import times
from pyctr.engine.capabilities import DEFAULT, NAMES, normalise, plan_capabilities
from pyctr.engine.containers.names import random_name
from pyctr.engine.containers.store import check_name
from pyctr.engine.options import COMMAND_OPTIONS, FAMILIES, parse_request
from pyctr.engine.options.devices import parse_device
from pyctr.engine.options.environment import unique
from pyctr.engine.options.limits import parse_list
from pyctr.engine.options.network import parse_expose
from pyctr.engine.options.process import clean_path
from pyctr.engine.options.resources import ULIMITS, parse_ulimit
from pyctr.engine.options.units import parse_duration, parse_nano_cpus, parse_size
from pyctr.engine.options.volumes import parse_volume, split_csv
from pyctr.engine.signals import parse_signal
from pyctr.errors import InvalidArgument

words = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
paths = st.lists(words, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
anything = st.text(st.characters(exclude_categories=[]), max_size=40) | st.text("\0\udcff/=:,-.0aA ", max_size=9)


def says_why(error, words=""):
    """A refusal has a message."""
    assert str(error)
    assert words in str(error)


@given(st.integers(0, 2**50), st.sampled_from(["", "b", "k", "K", "kb", "KiB", "m", "g", "GB", "t", "PiB"]))
def test_parse_size_number_and_unit_multiply(number, unit):
    power = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}[unit.lower()[:1]]
    exact = number * 1024**power
    assert parse_size(f"{number}{unit}") == (exact if exact < 2**53 else int(float(number) * 1024**power))


@given(st.integers(-(2**62), 2**62))
def test_parse_duration_reads_what_go_writes(nanoseconds):
    rest, sign = abs(nanoseconds), "-" if nanoseconds < 0 else ""
    hours, rest = divmod(rest, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds, fraction = divmod(rest, 10**9)
    assert parse_duration(f"{sign}{hours}h{minutes}m{seconds}.{fraction:09d}s") == nanoseconds


@given(st.integers(0, 10**14))
def test_parse_nano_cpus_is_exact(nano):
    assert parse_nano_cpus(f"{nano // 10**9}.{nano % 10**9:09d}", "--cpus") == nano


@given(st.integers(0, 10**6), st.integers(1, 1000))
def test_parse_nano_cpus_fraction_is_exact_or_refused(top, bottom):
    try:
        assert parse_nano_cpus(f"{top}/{bottom}", "--cpus") * bottom == top * 10**9
    except InvalidArgument as error:
        says_why(error, "too precise")
        assert top * 10**9 % bottom


@given(st.sampled_from([parse_size, parse_duration, parse_list]), anything)
def test_number_parsers_raise_only_value_error(parse, text):
    try:
        parse(text)
    except ValueError as error:
        says_why(error)


@given(paths, paths, st.sampled_from(["", "ro", "rw", "z", "ro,rshared", "rslave"]))
def test_parse_volume_round_trips(source, target, mode):
    text = ":".join(filter(None, [source, target, mode]))
    parsed = parse_volume(text)
    assert parsed.text() == text
    assert parse_volume(parsed.text()).text() == text


@given(st.lists(st.text(string.ascii_letters + "/=:. ", min_size=1), min_size=1, max_size=5))
def test_split_csv_splits_what_was_joined(fields):
    assert split_csv(",".join(fields)) == fields


@given(st.lists(st.text(string.ascii_letters + '",', min_size=1), min_size=1, max_size=5))
def test_split_csv_reads_quoted_fields(fields):
    assert split_csv(",".join('"' + field.replace('"', '""') + '"' for field in fields)) == fields


@given(anything.map(lambda text: "/" + text))
def test_clean_path_never_leaves_the_root_and_is_idempotent(text):
    cleaned = clean_path(text)
    assert cleaned.startswith("/")
    assert ".." not in cleaned.split("/")
    assert clean_path(cleaned) == cleaned


@given(st.lists(st.tuples(words, anything).map("=".join)))
def test_unique_keeps_one_of_each_name_and_the_last_value(variables):
    merged = unique(variables)
    assert {item.partition("=")[0]: item for item in merged} == {item.partition("=")[0]: item for item in variables}
    assert unique(merged) == merged


@given(st.sampled_from(ULIMITS), st.integers(0, 2**40), st.integers(0, 2**40))
def test_parse_ulimit_reads_soft_and_hard(name, first, second):
    soft, hard = sorted((first, second))
    assert parse_ulimit(f"{name}={soft}:{hard}") == {"Name": name, "Soft": soft, "Hard": hard}


@given(st.sets(st.integers(0, 300), min_size=1))
def test_parse_list_reads_ranges(numbers):
    runs, ordered = [], sorted(numbers)
    for number in ordered:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ",".join(f"{a}-{b}" if a != b else str(a) for a, b in runs)
    assert parse_list(text) == numbers


@given(st.integers(0, 65535), st.integers(0, 50), st.sampled_from(["tcp", "udp", "sctp"]))
def test_parse_expose_lists_a_range(first, length, protocol):
    last = min(first + length, 65535)
    assert parse_expose(f"{first}-{last}/{protocol}") == [f"{port}/{protocol}" for port in range(first, last + 1)]


@given(st.integers(1, 64))
def test_parse_signal_reads_numbers(number):
    assert parse_signal(str(number)) == number


@given(paths, paths, st.sampled_from(["r", "w", "m", "rw", "rwm", "mr"]))
def test_parse_device_round_trips(source, target, mode):
    parsed = parse_device(f"{source}:{target}:{mode}")
    assert list(parsed.values()) == [source, target, mode]


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.integers(0, 2**41 - 1))
def test_capabilities_asked_for_are_there_and_dropped_ones_are_not(add, drop, granted):
    planned = plan_capabilities(
        normalise(list(add), "CapAdd"), normalise(list(drop), "CapDrop"), privileged=False, granted=granted
    )
    assert len(set(planned)) == len(planned)
    assert add <= set(planned)
    assert not (drop - add) & set(planned)
    assert set(planned) - add <= {name for bit, name in enumerate(NAMES) if granted >> bit & 1} & set(DEFAULT)


@given(st.integers(0, 253402300799 * 10**9))
def test_times_round_trip(nanoseconds):
    assert times.parse_time(times.format_time(nanoseconds)) == nanoseconds


@given(anything)
def test_parse_time_raises_only_value_error(text):
    try:
        times.parse_time(text)
    except ValueError as error:
        says_why(error)


@given(st.integers(0, 10**19))
def test_human_duration_is_a_few_words(nanoseconds):
    assert 1 < len(times.human_duration(nanoseconds).split()) < 5


def test_generated_names_are_names():
    for _ in range(500):
        name = random_name()
        assert check_name(name) == name


@given(anything)
def test_check_name_takes_nothing_that_leaves_a_directory(text):
    try:
        name = check_name(text)
    except InvalidArgument:
        return
    assert "/" not in name
    assert name[0] not in ".-_"


LISTS = frozenset(
    [
        "add_host",
        "annotation",
        "attach",
        "blkio_weight_device",
        "cap_add",
        "cap_drop",
        "device",
        "device_cgroup_rule",
        "device_read_bps",
        "device_read_iops",
        "device_write_bps",
        "device_write_iops",
        "dns",
        "dns_option",
        "dns_search",
        "env",
        "env_file",
        "expose",
        "group_add",
        "label",
        "label_file",
        "link",
        "link_local_ip",
        "log_opt",
        "mount",
        "network",
        "network_alias",
        "net_alias",
        "publish",
        "security_opt",
        "storage_opt",
        "sysctl",
        "tmpfs",
        "ulimit",
        "volume",
        "volumes_from",
    ]
)
FLAGS = frozenset(
    [
        "detach",
        "disable_content_trust",
        "init",
        "interactive",
        "no_healthcheck",
        "oom_kill_disable",
        "privileged",
        "publish_all",
        "quiet",
        "read_only",
        "rm",
        "sig_proxy",
        "tty",
    ]
)


@given(st.data())
def test_no_option_ever_fails_but_by_refusing(data):
    keys = data.draw(st.lists(st.sampled_from(sorted(set(FAMILIES) | COMMAND_OPTIONS)), max_size=4, unique=True))
    options = {}
    for key in keys:
        if key in FLAGS:
            options[key] = data.draw(st.booleans())
        elif key in LISTS:
            options[key] = data.draw(st.lists(anything, max_size=3))
        else:
            options[key] = data.draw(anything)
    try:
        request = parse_request("img", [], options)
    except InvalidArgument as error:
        says_why(error)
    else:
        assert request.config["Image"] == "img"


def test_unknown_option_is_refused_by_name():
    with pytest.raises(InvalidArgument, match="unknown flag: --no-such-thing"):
        parse_request("img", [], {"no_such_thing": "1"})
