"""`docker build` by the real client's first builder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api.conftest import Api

DOCKERFILE = """FROM busybox AS first
ARG WORD=none
RUN echo $WORD > /word
FROM busybox
COPY --from=first /word /word
COPY file /file
LABEL of=build
CMD ["cat", "/word", "/file"]
"""


def test_build_run_and_a_failure(api: Api, tmp_path: Path) -> None:
    env = {**api.env, "DOCKER_BUILDKIT": "0"}
    api.env = env
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "file").write_text("from the context\n")
    built = api.docker("build", "-t", "apibuilt:1", "--build-arg", "WORD=given", str(tmp_path)).stdout
    assert "Successfully tagged apibuilt:1" in built
    assert api.docker("run", "--rm", "--network", "none", "apibuilt:1").stdout == "given\nfrom the context\n"
    again = api.docker("build", "-q", "--build-arg", "WORD=given", str(tmp_path)).stdout.strip()
    assert again == api.docker("image", "inspect", "-f", "{{.Id}}", "apibuilt:1").stdout.strip()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN exit 3\n")
    failed = api.docker("build", str(tmp_path), code=1)
    assert "exit 3" in failed.stdout + failed.stderr
    api.docker("rmi", "apibuilt:1")
