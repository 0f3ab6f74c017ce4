"""Pulling: what is fetched and what is not, platforms, connections that break, what is beside it."""

from __future__ import annotations

import json
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from pyctr.engine import Engine
from pyctr.engine.transfer.partial import layer_draft
from pyctr.errors import NotFound, PyctrError, RegistryError
from tests.conftest import needs_root
from tests.fake_registry import FakeRegistry, Handler, Layer, digest_of, tar_of
from tests.integration.registry.pulls import (
    CONTENT,
    LARGE,
    SMALL,
    Heard,
    blob_fault,
    check_nothing,
    check_whole,
    send_part,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root


def test_pull_brings_layers_and_name(fake: FakeRegistry, engine: Engine) -> None:
    digest = fake.put_image("a/b", "v1", [SMALL, LARGE])
    heard = Heard()
    name = f"{fake.address}/a/b:v1"
    (pulled,) = engine.images.pull(name, report=heard)
    assert (pulled.digest, pulled.is_new) == (digest, True)
    check_whole(engine, name, [SMALL, LARGE])
    small = SMALL.digest[7:19]
    assert heard[0] == ("v1", "Pulling from a/b")
    assert heard[-2:] == [("", f"Digest: {digest}"), ("", f"Status: Downloaded newer image for {name}")]
    assert [status for id, status in heard if id == small] == ["Pulling fs layer", "Download complete", "Pull complete"]
    assert engine.images.inspect(name)["RepoDigests"] == [f"{fake.address}/a/b@{digest}"]


def test_pull_again_fetches_no_layer(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    engine.images.pull(f"{fake.address}/x")
    fake.requests.clear()
    heard = Heard()
    (pulled,) = engine.images.pull(f"{fake.address}/x", report=heard)
    assert not pulled.is_new
    assert heard[-1] == ("", f"Status: Image is up to date for {fake.address}/x:latest")
    assert fake.asked("GET", "/blobs/") == []


def test_pull_layer_known_by_diff_id_is_not_fetched(fake: FakeRegistry, engine: Engine) -> None:
    plain = Layer(tar_of({"large": CONTENT}), compress=False)
    assert plain.diff_id == LARGE.diff_id
    fake.put_image("x", "gzip", [LARGE])
    fake.put_image("x", "plain", [plain])
    engine.images.pull(f"{fake.address}/x:gzip")
    engine.images.pull(f"{fake.address}/x:plain")
    assert fake.asked("GET", plain.digest) == []
    # What was not kept is fetched when a push needs it.
    engine.images.tag(f"{fake.address}/x:plain", f"{fake.address}/y")
    fake.faults.append(lambda handler: handler.command == "HEAD" and handler.fail(404, "X"))
    fake.faults.append(lambda handler: "mount=" in handler.path and handler.fail(400, "X"))
    with pytest.raises(NotFound):
        engine.image_store.read_blob(plain.digest)
    engine.images.push(f"{fake.address}/y")
    assert ("y", "latest") in fake.manifests


def test_pull_by_digest_of_an_index_is_found_by_it(fake: FakeRegistry, engine: Engine) -> None:
    here = fake.put_image("x", "amd", [SMALL])
    index = fake.put_index("x", "latest", {"linux/amd64": here, "linux/arm64/v8": here})
    name = f"{fake.address}/x@{index}"
    engine.images.pull(name)
    assert engine.image_store.resolve(name).manifest_digest == here
    assert engine.images.inspect(name)["RepoDigests"] == [name]
    assert engine.images.inspect(name)["RepoTags"] == []


def test_pull_platform_variant_is_chosen(fake: FakeRegistry, engine: Engine) -> None:
    digests = {}
    for text in ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"):
        system, architecture, *variant = text.split("/")
        extra = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        digests[text] = fake.put_image("x", text.replace("/", "-"), [SMALL], **extra)
    fake.put_index("x", "latest", digests)
    for asked, chosen in (
        ("linux/arm/v7", "linux/arm/v7"), ("linux/arm/v6", "linux/arm/v6"), ("linux/arm64", "linux/arm64/v8"),
        ("arm64", "linux/arm64/v8"), ("linux/arm/v8", "linux/arm/v7"), ("", "linux/amd64"),
    ):  # fmt: skip
        engine.images.pull(f"{fake.address}/x", platform=asked)
        assert engine.image_store.resolve(f"{fake.address}/x").manifest_digest == digests[chosen], asked


def test_pull_all_tags(fake: FakeRegistry, engine: Engine) -> None:
    for tag in ("a", "b", "c"):
        fake.put_image("x", tag, [SMALL, Layer(tar_of({tag: b""}))])
    assert len(engine.images.pull(f"{fake.address}/x", all_tags=True)) == 3
    assert {row.tag for row in engine.images.list()} == {"a", "b", "c"}
    with pytest.raises(PyctrError, match="tag can't be used"):
        engine.images.pull(f"{fake.address}/x:a", all_tags=True)


@pytest.mark.parametrize("reset", [False, True])
def test_pull_connection_cut_every_64_kib_is_resumed(fake: FakeRegistry, engine: Engine, reset: bool) -> None:
    fake.put_image("x", "latest", [SMALL, LARGE])
    fake.faults.append(blob_fault(lambda h, data, start: send_part(h, data, start, 65536, reset=reset)))
    engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [SMALL, LARGE])
    assert len(fake.asked("GET", LARGE.digest)) >= 7


def test_pull_server_without_ranges_is_read_again(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    fake.gives_ranges = False
    cuts = [100_000, 200_000]

    def cut(handler: Handler, data: bytes, _: int) -> bool:
        return bool(cuts) and send_part(handler, data, 0, cuts.pop(0), reset=False)

    fake.faults.append(blob_fault(cut))
    engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_cut_twenty_times_at_random_finishes(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL, LARGE])
    chance = random.Random(3)
    cuts = [chance.randrange(1, 18_000) for _ in range(20)]

    def cut(handler: Handler, data: bytes, start: int) -> bool:
        return bool(cuts) and send_part(handler, data, start, cuts.pop(), reset=chance.random() < 0.5)

    fake.faults.append(blob_fault(cut))
    for _ in range(20):
        try:
            engine.images.pull(f"{fake.address}/x")
        except RegistryError:
            continue
        break
    assert cuts == []
    check_whole(engine, f"{fake.address}/x", [SMALL, LARGE])


def test_pull_that_failed_goes_on_where_it_was(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    first = [True]

    def fail(handler: Handler, data: bytes, start: int) -> bool:
        if not start:
            return send_part(handler, data, 0, 150_000, reset=False)
        return handler.fail(500, "X") if first[0] else False

    fake.faults.append(blob_fault(fail))
    with pytest.raises(RegistryError):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine, partial=True)
    first[0] = False
    fake.requests.clear()
    engine.images.pull(f"{fake.address}/x")
    (asked,) = fake.asked("GET", LARGE.digest)
    assert asked["Range"] == "bytes=150000-"
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_partial_blob_that_is_wrong_is_fetched_anew(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    os.makedirs(f"{engine.root}/partial")
    with open(f"{engine.root}/partial/{LARGE.digest[7:]}", "wb") as file:
        file.write(LARGE.data[:1000] + b"\0" * 1000)
    engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_stored_blob_that_is_damaged_is_fetched_anew(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    engine.image_store.prepare()
    with open(engine.image_store.blob_path(LARGE.digest), "wb") as file:
        file.write(LARGE.data[:5000] + b"?" + LARGE.data[5001:])
    engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_stored_blob_is_not_fetched(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    engine.image_store.prepare()
    with open(engine.image_store.blob_path(LARGE.digest), "wb") as file:
        file.write(LARGE.data)
    engine.images.pull(f"{fake.address}/x")
    assert fake.asked("GET", LARGE.digest) == []
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_tag_that_moves_meanwhile_is_one_image(fake: FakeRegistry, engine: Engine) -> None:
    first = fake.put_image("x", "latest", [LARGE])

    def move(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            handler.registry.put_image("x", "latest", [SMALL])
        return False

    fake.faults.append(move)
    (pulled,) = engine.images.pull(f"{fake.address}/x")
    assert pulled.digest == first
    check_whole(engine, f"{fake.address}/x", [LARGE])


def test_pull_new_image_of_a_tag_leaves_the_old_one_nameless(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    engine.images.pull(f"{fake.address}/x")
    fake.put_image("x", "latest", [LARGE])
    engine.images.pull(f"{fake.address}/x")
    assert sorted(row.tag for row in engine.images.list()) == ["<none>", "latest"]


def test_two_pulls_at_once_share_the_work(fake: FakeRegistry, tmp_path: Path, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL, LARGE])
    held = threading.Event()

    def slow(handler: Handler, _data: bytes, _start: int) -> bool:
        held.wait(1.0)
        return False

    fake.faults.append(blob_fault(slow))
    errors: list[BaseException] = []

    def pull(number: int) -> None:
        try:
            other = Engine(engine.root, str(tmp_path / f"run{number}"), config_file=str(tmp_path / "daemon.json"))
            other.images.pull(f"{fake.address}/x")
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=pull, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    held.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(fake.asked("GET", LARGE.digest)) == 1
    check_whole(engine, f"{fake.address}/x", [SMALL, LARGE])


def test_pull_sweeps_what_a_killed_one_left(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    store = engine.image_store
    store.prepare()
    dead = layer_draft(store, LARGE.digest, LARGE.diff_id)
    os.makedirs(f"{dead}/half")
    engine.images.pull(f"{fake.address}/x")
    assert not os.path.exists(dead)


def test_pull_layer_never_synced_before_a_boot_is_not_trusted(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE])
    store = engine.image_store
    store.prepare()
    os.mkdir(store.layer_path(LARGE.diff_id))
    with open(store.layer_path(LARGE.diff_id) + ".json", "w") as file:
        json.dump({"digest": LARGE.digest, "size": 0, "unsynced": "another boot"}, file)
    engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [LARGE])
    with open(store.layer_path(LARGE.diff_id) + ".json") as file:
        assert json.load(file) == {"digest": LARGE.digest, "size": len(CONTENT)}


def test_pull_same_layer_twice_is_fetched_once(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [LARGE, SMALL, LARGE])
    engine.images.pull(f"{fake.address}/x")
    assert len(fake.asked("GET", LARGE.digest)) == 1
    check_whole(engine, f"{fake.address}/x", [LARGE, SMALL, LARGE])


def test_prune_removes_partial_blobs(fake: FakeRegistry, engine: Engine) -> None:
    os.makedirs(f"{engine.root}/partial")
    with open(f"{engine.root}/partial/{LARGE.digest[7:]}", "wb") as file:
        file.write(b"x" * 100_000)
    _, freed = engine.images.prune()
    assert freed >= 100_000
    assert os.listdir(f"{engine.root}/partial") == []


def test_names_of_the_greatest_length_are_kept(fake: FakeRegistry, engine: Engine) -> None:
    path = "/".join(["a.b-c"] * 38)
    name = f"{fake.address}/{path}:{'t.' * 63}t"
    fake.put_image(path, name.rpartition(":")[2], [SMALL])
    engine.images.pull(name)
    engine.images.tag(name, name[:-2])
    assert sorted(engine.images.inspect(name)["RepoTags"]) == sorted([name, name[:-2]])
    assert engine.images.check() == []
    assert f"Untagged: {name}" in engine.images.remove(name)
    assert [row.tag for row in engine.images.list()] == [name[:-2].rpartition(":")[2]]


def test_push_of_a_plain_layer_compresses_it_once_and_keeps_the_id(fake: FakeRegistry, engine: Engine) -> None:
    plain = Layer(tar_of({"large": b"text " * 20_000}), compress=False)
    fake.put_image("x", "plain", [plain])
    engine.images.pull(f"{fake.address}/x:plain")
    engine.images.push(f"{fake.address}/x:plain")  # came from a registry: as it is
    assert engine.images.inspect(f"{fake.address}/x:plain")["Descriptor"]["digest"] == digest_of(
        fake.manifests["x", "plain"][1]
    )
    engine.images.tag(f"{fake.address}/x:plain", f"{fake.address}/y:1")
    engine.images.tag(f"{fake.address}/x:plain", f"{fake.address}/y:2")
    (pushed,) = engine.images.push(f"{fake.address}/y:1")
    (layer,) = json.loads(fake.manifests["y", "1"][1])["layers"]
    assert layer["mediaType"].endswith("+gzip")
    assert layer["size"] < len(plain.data) // 10
    facts = engine.images.inspect(f"{fake.address}/y:1")
    assert facts["Id"] == engine.images.inspect(f"{fake.address}/x:plain")["Id"]
    assert f"{fake.address}/y@{pushed.digest}" in facts["RepoDigests"]
    (again,) = engine.images.push(f"{fake.address}/y:2")
    assert again.digest == pushed.digest
    assert engine.images.check() == []
