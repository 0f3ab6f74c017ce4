"""Images pinned by the digests a registry has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.cli.main import main
from tests.fake_registry import FakeRegistry, Layer, tar_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_images_are_pinned_by_what_their_tag_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeRegistry().serving() as registry:
        digest = registry.put_image("app", "1", [Layer(tar_of({"a": b"b"}))])
        host = registry.address
        (tmp_path / "c.yaml").write_text(
            f"name: p\nservices:\n  a: {{image: '{host}/app:1', tty: true}}\n  b: {{build: .}}\n"
        )
        base = [
            "--root",
            str(tmp_path / "root"),
            "--run-root",
            str(tmp_path / "run"),
            "compose",
            "-f",
            str(tmp_path / "c.yaml"),
        ]
        assert main([*base, "config", "--lock-image-digests"]) == 0
        assert capsys.readouterr().out == f"services:\n  a:\n    image: {host}/app:1@{digest}\n"
        assert main([*base, "config", "--resolve-image-digests", "--images"]) == 0
        assert f"{host}/app:1@{digest}" in capsys.readouterr().out
        (tmp_path / "c.yaml").write_text(f"services: {{a: {{image: '{host}/app:none'}}}}")
        assert main([*base, "config", "--resolve-image-digests"]) == 1
        assert capsys.readouterr().err == f"pyctr: manifest for {host}/app:none not found\n"
