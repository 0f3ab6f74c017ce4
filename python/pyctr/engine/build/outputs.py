"""`--output`: a directory, a tar, an archive of images, a registry (docs/build-execute.md, "Outputs")."""

from __future__ import annotations

import contextlib
import os

from pyctr._core import export_tree
from pyctr.engine.build.export import checked_name, keeps_image
from pyctr.errors import BuildError, InvalidArgument
from pyctr.image.store import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.build.plan.step import Plan
    from pyctr.build.request import Typed
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.export import Built

_STDOUT = 1


def write_output(executor: Executor, plan: Plan, built: Built, output: Typed) -> None:
    """One of the outputs; the store's own is made already."""
    kinds = {"local": _local, "tar": _tar, "oci": _archive, "docker": _archive, "image": _image, "registry": _image}
    if output.kind == "cacheonly":
        return
    if output.kind not in kinds:
        raise InvalidArgument(f"unknown output type {output.kind}")
    kinds[output.kind](executor, plan, built, output)


def _local(executor: Executor, plan: Plan, built: Built, output: Typed) -> None:
    """The result's files in a directory, owned by who builds."""
    del built
    target = _required(output, "dest")
    name = "exporting to client directory"
    with told(executor, name):
        owner = (os.geteuid(), os.getegid())
        for result in plan.results:
            below = "/" if len(plan.results) == 1 else f"/{result.platform.replace('/', '_')}"
            os.makedirs(target, exist_ok=True)
            tree = executor.snapshot_value(result.step).tree(executor.store, executor.scratch)
            copied = tree.copy("/", target, below, owner=owner)
            executor.report.status(name, "copying files", current=copied.size, total=copied.size, done=True)


def _tar(executor: Executor, plan: Plan, built: Built, output: Typed) -> None:
    """The result's files as an archive."""
    del built
    if len(plan.results) != 1:
        raise BuildError("output type=tar is of one platform; use type=local for several")
    with told(executor, "exporting to client tarball"), opened_sink(_required(output, "dest")) as sink:
        directories = executor.snapshot_value(plan.results[0].step).snapshot.directories(executor.store)
        export_tree(directories, sink)


def _archive(executor: Executor, plan: Plan, built: Built, output: Typed) -> None:
    """An archive that is an OCI layout and a docker-archive; without a destination `docker` is the image store."""
    from pyctr.image.save import save

    del plan
    target = output.attributes.get("dest", "")
    if output.kind == "docker" and not target:
        return
    if output.kind == "docker" and len(built.images) != 1:
        raise BuildError("docker exporter does not support exporting manifest lists, use the oci exporter instead")
    names = _names(executor, output)
    images = [Image(executor.store, image.id, image.manifest_digest, names) for image in built.images]
    with told(executor, f"exporting to {output.kind} image format"), opened_sink(_required(output, "dest")) as sink:
        save(executor.store, images, sink, index_digest=built.index_digest)


def _image(executor: Executor, plan: Plan, built: Built, output: Typed) -> None:
    """The image store; with `push=true`, or of type registry, the registry that the names say too."""
    from pyctr.engine.build.push import push_built

    del plan
    if output.kind != "registry" and output.attributes.get("push", "false") not in ("true", "1"):
        return
    names = _names(executor, output)
    if not names:
        raise BuildError("tag is needed when pushing to registry")
    for name in names:
        push_built(executor, built, name)


def _names(executor: Executor, output: Typed) -> list[str]:
    named = [name for name in output.attributes.get("name", "").split(",") if name]
    return [checked_name(name) for name in named or executor.request.tags]


def _required(output: Typed, key: str) -> str:
    value = output.attributes.get(key, "")
    if not value:
        raise InvalidArgument(f"output directory is required for {output.kind} exporter")
    return value


@contextlib.contextmanager
def told(executor: Executor, name: str) -> Iterator[None]:
    """A vertex around the work."""
    executor.report.start(name, name)
    try:
        yield
    except BaseException as error:
        executor.report.done(name, error=str(error) or "canceled")
        raise
    executor.report.done(name)


@contextlib.contextmanager
def opened_sink(target: str) -> Iterator[int]:
    """A file that appears whole or not at all; ``-`` is stdout. Raises InvalidArgument."""
    if target == "-":
        if os.isatty(_STDOUT):
            raise InvalidArgument("dest file is required for a terminal: refusing to write to it")
        yield _STDOUT
        return
    draft = f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        sink = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InvalidArgument(f"write {target}: {(error.strerror or '').lower()}") from None
    try:
        try:
            yield sink
        finally:
            os.close(sink)
        os.rename(draft, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


__all__ = ["keeps_image", "told", "write_output"]
