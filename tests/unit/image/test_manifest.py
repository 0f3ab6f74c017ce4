"""Manifests, configs and platforms."""

from __future__ import annotations

import json

import pytest

from pyctr.errors import CorruptData, InvalidArgument, NotFound
from pyctr.image import manifest

DIGEST = "sha256:" + "a" * 64


def encoded(**changes: object) -> bytes:
    value: dict[str, object] = {
        "config": {"mediaType": manifest.OCI_CONFIG, "digest": DIGEST, "size": 2},
        "layers": [{"mediaType": manifest.OCI_LAYER + "+gzip", "digest": DIGEST, "size": 3}],
    }
    return json.dumps({**value, **changes}).encode()


def test_parse_manifest_reads_config_and_layers() -> None:
    parsed = manifest.parse_manifest(encoded())
    assert parsed.config.digest == DIGEST
    assert [layer.size for layer in parsed.layers] == [3]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "manifest"),
        (b"[]", "not a JSON object"),
        (b" " * (manifest.MANIFEST_MAX_BYTES + 1), "larger than"),
        (encoded(layers=None), "no layers"),
        (encoded(config={"digest": "sha256:../../x", "size": 1}), "not a sha256 digest"),
        (encoded(config={"digest": DIGEST, "size": -1}), "bad size"),
        (
            encoded(
                layers=[
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                        "digest": DIGEST,
                        "size": 1,
                    }
                ]
            ),
            "foreign",
        ),
    ],
)
def test_parse_manifest_malformed_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(CorruptData, match=words):
        manifest.parse_manifest(data)


def test_choose_platform_names_what_there_is() -> None:
    offered = [
        manifest.Descriptor(
            {"digest": DIGEST, "size": 1, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
        )
    ]
    assert manifest.choose_platform(offered, ("linux", "arm64", "")).digest == DIGEST
    with pytest.raises(NotFound, match="linux/amd64; there is linux/arm64/v8"):
        manifest.choose_platform(offered, ("linux", "amd64", ""))


def test_parse_platform_is_strict() -> None:
    assert manifest.parse_platform("linux/x86_64") == ("linux", "amd64", "")
    assert manifest.parse_platform("ARM64") == ("linux", "arm64", "")
    assert manifest.parse_platform("windows")[0] == "windows"
    for bad in ("linus", "a/b/c/d", "linux/", ""):
        with pytest.raises(InvalidArgument):
            manifest.parse_platform(bad)
