"""Pulling from a registry that does everything wrong: one line, and a store that is as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.errors import CorruptData, KernelError, NotFound, PyctrError, RegistryError
from pyctr.image.manifest import OCI_MANIFEST
from tests.conftest import needs_root
from tests.fake_registry import FakeRegistry, Handler, Layer, digest_of, tar_of
from tests.integration.registry.pulls import (
    CONTENT,
    LARGE,
    SMALL,
    blob_fault,
    check_nothing,
    check_whole,
)

if TYPE_CHECKING:
    from pyctr.engine import Engine

pytestmark = needs_root


def test_pull_unknown_platform_names_those_there_are(fake: FakeRegistry, engine: Engine) -> None:
    here = fake.put_image("x", "amd", [SMALL])
    fake.put_index("x", "latest", {"linux/amd64": here, "linux/arm64/v8": here, "unknown/unknown": here})
    with pytest.raises(NotFound, match=r"platform linux/s390x; there is linux/amd64, linux/arm64/v8$"):
        engine.images.pull(f"{fake.address}/x", platform="linux/s390x")
    with pytest.raises(NotFound, match="wanted linux/s390x, actual: linux/amd64"):
        engine.images.pull(f"{fake.address}/x:amd", platform="s390x")
    check_nothing(engine)


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


def test_pull_manifest_of_any_promised_size_is_bounded(fake: FakeRegistry, engine: Engine) -> None:
    digest = fake.put_image("x", "amd", [SMALL])
    fake.put_index("x", "latest", {"linux/amd64": digest})
    kind, data = fake.manifests["x", "latest"]
    value = json.loads(data)
    value["manifests"][0]["size"] = 1 << 40
    fake.put_manifest("x", "latest", value, kind)
    fake.requests.clear()
    with pytest.raises(CorruptData, match="larger than"):
        engine.images.pull(f"{fake.address}/x")
    assert fake.asked("GET", digest) == []
    check_nothing(engine)


def test_pull_failure_leaves_the_old_image_its_name(fake: FakeRegistry, engine: Engine) -> None:
    fake.put_image("x", "latest", [SMALL])
    engine.images.pull(f"{fake.address}/x")
    fake.put_image("x", "latest", [SMALL, LARGE])
    fake.blobs[LARGE.digest] = b"x" * len(LARGE.data)
    with pytest.raises(CorruptData):
        engine.images.pull(f"{fake.address}/x")
    check_whole(engine, f"{fake.address}/x", [SMALL])


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
