"""Templates: what a real docker client prints of a container, we print of the same JSON."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from pyctr.cli.format import check_rows, compile_template, print_rows
from pyctr.errors import InvalidArgument
from tests.conftest import needs_root
from tests.integration.cli.templates import INSPECT, ROWS
from tests.peers import Peer, running_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
#: A structure is shown with its fields in Go's order, which JSON does not tell; the whole value is encoded in that order too.
INSPECT_DIFFER = {"{{.State}}", "{{json .}}"}
#: What shows a Go structure, or is no template; words with the name of a Go type; a command's times.
ROWS_DIFFER = {"{{.}}x", "table", "raw", "{{.Nope}}", "json", "{{json .}}"}
_HEADERS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "Status": "STATUS", "Ports": "PORTS", "Names": "NAMES",
}  # fmt: skip


@pytest.fixture(scope="module")
def docker() -> Iterator[Peer]:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w"):
        pass
    with running_dockerd() as peer:
        peer("import", "-", "busybox", input=empty.getvalue())
        labels = ["-l", "a=1", "-l", "a.b/c=x y", "-e", "X=1", "-e", "Y=<&>"]
        peer("create", "--name", "web", *labels, "busybox", "sh", "-c", "echo <a> & 'b'")
        yield peer


@pytest.fixture(scope="module")
def container(docker: Peer) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", "web"))
    return found[0]


@pytest.mark.parametrize("template", [text for text in INSPECT if text not in INSPECT_DIFFER])
def test_inspect_template_is_dockers(docker: Peer, container: dict[str, Any], template: str) -> None:
    done = docker.run("inspect", "-f", template, "web")
    try:
        ours = (0, compile_template(template)(container) + "\n", "")
    except InvalidArgument as error:
        ours = (error.exit_code, "", f"{error}\n")
    # Of a failed execution docker prints what there was so far, an empty line.
    assert ours == (done.returncode, "" if done.returncode else done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("template", [text for text in ROWS if text not in ROWS_DIFFER])
def test_rows_template_is_dockers(docker: Peer, template: str) -> None:
    done = docker.run("ps", "-a", "--format", template)
    row = json.loads(docker("ps", "-a", "--format", "json"))
    out = io.StringIO()
    try:
        check_rows(template, row)  # as `ps` does
        with redirect_stdout(out):
            print_rows(template, [row], _HEADERS)
        ours = (0, out.getvalue(), "")
    except InvalidArgument as error:
        ours = (1, "", f"{error}\n")
    theirs = (done.returncode, done.stdout.decode(), done.stderr.decode())
    if "{{.Labels}}" in template:  # in the order of a Go map: any
        assert ours[1].strip().split(",").sort() == theirs[1].strip().split(",").sort()
        return
    if "{{.Size}}" in template:  # in JSON without the size of the image
        ours, theirs = (ours[0], ours[1].split("|")[0], ""), (theirs[0], theirs[1].split("|")[0], "")
    assert ours == theirs
