"""Pulling from a registry that does everything wrong: one line, and a store that is as it was."""

from __future__ import annotations

import json
import os
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.engine import Engine
from pyctr.engine.transfer.partial import layer_draft
from pyctr.errors import CorruptData, KernelError, NotFound, PyctrError, RegistryError
from pyctr.image.manifest import OCI_MANIFEST
from tests.conftest import needs_root
from tests.fake_registry import FakeRegistry, Handler, Layer, digest_of, tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyctr.image.store import Store

pytestmark = needs_root

CONTENT = random.Random(7).randbytes(400_000)
SMALL = Layer(tar_of({"small": b"small"}))
LARGE = Layer(tar_of({"large": CONTENT}))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr("pyctr.registry.transport._FIRST_WAIT_S", 0.001)
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "daemon.json").write_text("{}")
    return Engine(str(tmp_path / "root"), str(tmp_path / "run"), config_file=str(tmp_path / "daemon.json"))


class Heard(list[tuple[str, str]]):
    """A report."""

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        if status != "Downloading":
            self.append((id, status))


def blob_fault(act: Callable[[Handler, bytes, int], bool]) -> Callable[[Handler], bool]:
    """A fault for reads of blobs larger than a config; it is given the blob and where the client wants to begin."""

    def fault(handler: Handler) -> bool:
        data = handler.registry.blobs.get(handler.path.rpartition("/")[2], b"")
        if handler.command != "GET" or len(data) < 1000:
            return False
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        return act(handler, data, start)

    return fault


def send_part(handler: Handler, data: bytes, start: int, count: int, *, reset: bool) -> bool:
    """Promise everything, send `count` bytes, cut."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()
    handler.wfile.write(data[start : start + count])
    return handler.cut(reset=reset)


def check_whole(engine: Engine, name: str, layers: list[Layer]) -> None:
    """The image is in the store, its content and digests right."""
    image = engine.image_store.resolve(name)
    assert image.layers == [layer.diff_id for layer in layers]
    for layer in layers:
        assert digest_of(engine.image_store.read_blob(layer.digest)) == layer.digest
    for layer in layers:
        if layer is LARGE:
            with open(f"{engine.image_store.layer_path(layer.diff_id)}/large", "rb") as file:
                assert file.read() == CONTENT
    assert leftovers(engine.image_store) == []


def leftovers(store: Store) -> list[str]:
    """Drafts and partial blobs."""
    drafts = [name for name in os.listdir(store.layers) if name.startswith(".")]
    return drafts + (os.listdir(f"{store.root}/partial") if os.path.isdir(f"{store.root}/partial") else [])


def check_nothing(engine: Engine, *, partial: bool = False) -> None:
    """No image, no name, no draft."""
    assert engine.images.list() == []
    left = leftovers(engine.image_store) if os.path.isdir(engine.image_store.layers) else []
    assert partial or left == []
    assert not any(name.endswith(".pull") for name in left)


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


def test_pull_unknown_platform_names_those_there_are(fake: FakeRegistry, engine: Engine) -> None:
    here = fake.put_image("x", "amd", [SMALL])
    fake.put_index("x", "latest", {"linux/amd64": here, "linux/arm64/v8": here, "unknown/unknown": here})
    with pytest.raises(NotFound, match=r"platform linux/s390x; there is linux/amd64, linux/arm64/v8$"):
        engine.images.pull(f"{fake.address}/x", platform="linux/s390x")
    with pytest.raises(NotFound, match="wanted linux/s390x, actual: linux/amd64"):
        engine.images.pull(f"{fake.address}/x:amd", platform="s390x")
    check_nothing(engine)


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


def test_pull_wrong_blob_is_refused(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL, LARGE])
    fake.blobs[LARGE.digest] = LARGE.data[:-9] + b"\0\1" + LARGE.data[-7:]
    with pytest.raises(CorruptData):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_pull_blob_of_wrong_size_is_refused(fake: FakeRegistry, engine: Engine, change: Any) -> None:
    fake.put_image("x", "latest", [LARGE])
    fake.blobs[LARGE.digest] = change(LARGE.data)
    with pytest.raises(CorruptData, match=f"expected {len(LARGE.data)}"):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_blob_without_end_is_refused(fake: FakeRegistry, engine: Engine) -> None:
    def endless(handler: Handler, data: bytes, _: int) -> bool:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in (data, b"x" * 100, b""):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        return True

    fake.put_image("x", "latest", [LARGE])
    fake.faults.append(blob_fault(endless))
    with pytest.raises(CorruptData, match="more than the expected"):
        engine.images.pull(f"{fake.address}/x")


def test_pull_wrong_diff_id_is_refused(fake: FakeRegistry, engine: Engine) -> None:
    layer = Layer(tar_of({"large": CONTENT}))
    layer.diff_id = "sha256:" + "0" * 64
    fake.put_image("x", "latest", [layer])
    with pytest.raises(CorruptData, match="uncompressed layer"):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_gzip_bomb_is_bounded(fake: FakeRegistry, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyctr.engine.transfer.layers._LAYER_MAX_BYTES", 1 << 20)
    fake.put_image("x", "latest", [Layer(tar_of({"zero": bytes(8 << 20)}))])
    with pytest.raises(CorruptData, match="unpacks to more than 1048576 bytes"):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_layer_that_cannot_be_unpacked_ends_its_download(fake: FakeRegistry, engine: Engine) -> None:
    bad = Layer(b"no archive" * 40_000, compress=False)
    fake.put_image("x", "latest", [bad])
    with pytest.raises(CorruptData):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_wrong_config_is_refused(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    config = json.loads(fake.manifests["x", "latest"][1])["config"]["digest"]
    fake.blobs[config] = b"x" * len(fake.blobs[config])
    with pytest.raises(CorruptData, match="verify image config"):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


@pytest.mark.parametrize(
    ("value", "media_type", "message"),
    [
        (b"<html>", "text/html", "unsupported manifest media type: text/html"),
        (b"[]", OCI_MANIFEST, "not a JSON object"),
        (b"{}", OCI_MANIFEST, "no layers"),
        (b"{}", "application/json", "unsupported manifest media type"),
        (
            {"schemaVersion": 1},
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "schema 1 is not supported",
        ),
        ({"schemaVersion": 1}, "application/json", "schema 1 is not supported"),
        ({"mediaType": OCI_MANIFEST, "layers": [], "manifests": []}, OCI_MANIFEST, "both an image and an index"),
        ({"mediaType": "application/vnd.oci.image.index.v1+json", "layers": []}, OCI_MANIFEST, "it says"),
    ],
)
def test_pull_odd_manifest_is_refused(
    fake: FakeRegistry, engine: Engine, value: Any, media_type: str, message: str
) -> None:
    fake.put_manifest("x", "latest", value, media_type)
    with pytest.raises(PyctrError, match=message):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_foreign_layer_is_refused_by_name(fake: FakeRegistry, engine: Engine) -> None:
    layer = Layer(tar_of({"a": b""}))
    layer.media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    fake.put_image("x", "latest", [layer])
    with pytest.raises(RegistryError, match=r"foreign layers \(application/vnd.docker.image.rootfs.foreign"):
        engine.images.pull(f"{fake.address}/x")


def test_pull_artifact_is_no_image(fake: FakeRegistry, engine: Engine) -> None:
    config = {"mediaType": "application/vnd.example+json", "digest": digest_of(b"{}"), "size": 2}
    fake.put_manifest("x", "latest", {"schemaVersion": 2, "config": config, "layers": []}, OCI_MANIFEST)
    with pytest.raises(RegistryError, match=r"is not an image: its config is application/vnd\.example"):
        engine.images.pull(f"{fake.address}/x")


def test_pull_indexes_without_end_are_refused(fake: FakeRegistry, engine: Engine) -> None:
    digest = fake.put_image("x", "latest", [SMALL])
    for _ in range(8):
        digest = fake.put_index("x", "latest", {"linux/amd64": digest})
        media_type, data = fake.manifests["x", digest]
        value = json.loads(data)
        value["manifests"][0]["mediaType"] = media_type
    with pytest.raises(CorruptData, match="nest too deep"):
        engine.images.pull(f"{fake.address}/x")


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


def test_pull_failure_leaves_the_old_image_its_name(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    engine.images.pull(f"{fake.address}/x")
    fake.put_image("x", "latest", [SMALL, LARGE])
    fake.blobs[LARGE.digest] = b"x" * len(LARGE.data)
    with pytest.raises(CorruptData):
        engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [SMALL])


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


def test_pull_full_disk_is_one_line(fake: FakeRegistry, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.put_image("x", "latest", [LARGE])

    def full(_fd: int, _data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyctr.engine.transfer.partial.os.pwrite", full)
    with pytest.raises(KernelError, match="no space left on device"):
        engine.images.pull(f"{fake.address}/x")
    check_nothing(engine)


def test_pull_name_with_capitals_is_refused(engine: Engine) -> None:
    with pytest.raises(PyctrError, match=r"repository name \(library/Busybox\) must be lowercase"):
        engine.images.pull("Busybox")


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


def test_pull_all_tags_of_a_hostile_list_stores_nothing(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "good", [SMALL])
    fake.faults.append(
        lambda handler: (
            "/tags/list" in handler.path and handler.reply(200, b'{"tags": ["good", "../../../etc/cron.d/x"]}')
        )
    )
    with pytest.raises(RegistryError, match="is no tag"):
        engine.images.pull(f"{fake.address}/x", all_tags=True)
    check_nothing(engine)


def test_pull_layer_of_any_promised_size_is_bounded(fake: FakeRegistry, engine: Engine) -> None:
    layer = {**SMALL.descriptor(), "size": 1 << 60}
    digest = fake.put_image("x", "latest", [SMALL])
    kind, data = fake.manifests["x", digest]
    fake.put_manifest("x", "latest", {**json.loads(data), "layers": [layer]}, kind)
    with pytest.raises(CorruptData, match="larger than"):
        engine.images.pull(f"{fake.address}/x")
    assert fake.asked("GET", SMALL.digest) == []
    check_nothing(engine)


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": "a\x1b]0;title\x07"}, {"mediaType": ["list"]}, {"layers": [{"mediaType": "\x1b[2J", "size": 1}]},
        {"layers": [{**SMALL.descriptor(), "mediaType": "\x1b[31mred"}]},
        {"layers": [{**SMALL.descriptor(), "digest": "sha256:../../etc/passwd"}]},
        {"layers": [{**SMALL.descriptor(), "size": -1}]}, {"layers": [{**SMALL.descriptor(), "size": True}]},
        {"config": {"mediaType": "\x9b2J", "digest": SMALL.digest, "size": 3}},
    ],
)  # fmt: skip
def test_pull_hostile_manifest_is_one_printable_line(
    fake: FakeRegistry, engine: Engine, change: dict[str, Any]
) -> None:
    digest = fake.put_image("x", "latest", [SMALL])
    kind, data = fake.manifests["x", digest]
    fake.put_manifest("x", "latest", {**json.loads(data), **change}, kind)
    with pytest.raises(PyctrError) as caught:
        engine.images.pull(f"{fake.address}/x")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    check_nothing(engine)


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
