"""Images that come from a file or a stream, and go into one: `load`, `import`, `save`."""

from __future__ import annotations

import os

from pyctr._core import compress_blob
from pyctr.engine import times
from pyctr.errors import InvalidArgument, NotFound, PyctrError
from pyctr.image import write
from pyctr.image.change import apply_changes
from pyctr.image.manifest import OCI_LAYER, host_platform, parse_platform, platform_text
from pyctr.image.reference import is_hex, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from urllib.request import OpenerDirector

    from pyctr.image.store import Image, Store

#: What every tool reads.
_COMPRESSION = "gzip"


def load_archive(store: Store, source: int, *, platform: str | None = None, sync: bool = True) -> list[Image]:
    """Load every image of an archive read from a descriptor, plain or compressed in any usual way."""
    from pyctr.image.archive import load
    from pyctr.image.compression import opened

    wanted = parse_platform(platform) if platform else None
    store.prepare()
    with opened(source) as fd:
        return load(store, fd, wanted, sync=sync)


def import_archive(
    store: Store,
    source: int,
    name: str | None = None,
    *,
    origin: str = "-",
    changes: list[str] | None = None,
    message: str = "",
    platform: str | None = None,
    sync: bool = True,
) -> Image:
    """Make an image of one layer, a tar read from a descriptor. `origin` is where it comes from, for the history."""
    from pyctr.image.compression import opened

    reference = parse_reference(name) if name else None
    if reference is not None and reference.digest:
        raise InvalidArgument("cannot import digest reference")
    system, architecture, variant = parse_platform(platform) if platform else host_platform()
    if system != "linux":
        raise InvalidArgument(f"operating system is not supported: {system}")
    config = {key: value for key, value in apply_changes({}, changes or []).items() if value}
    created, comment = times.now(), message or f"Imported from {origin}"
    try:
        with write.adding(store):
            with opened(source) as fd:
                layer = compress_blob(fd, store.blobs, compression=_COMPRESSION)
            write.add_layer(store, layer.digest, layer.diff_id)
            image_config: dict[str, Any] = {
                "architecture": architecture,
                **({"variant": variant} if variant else {}),
                "os": system,
                "created": created,
                "comment": comment,
                "config": config,
                "history": [{"created": created, "comment": comment}],
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            }
            manifest = write.build_manifest(store, image_config, [(layer.digest, f"{OCI_LAYER}+{_COMPRESSION}")])
            return write.add_image(store, manifest, [str(reference)] if reference else [], sync=sync)
    except BaseException:
        write.sweep(store)
        raise


def public_url(url: str) -> str:
    """An address without what may be a secret: user and password, and the query, where signatures are."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path


def open_url(url: str) -> int:
    """A descriptor from which what an http or https address gives can be read. Raises PyctrError."""
    import http.client
    import tempfile
    import urllib.error
    import urllib.request

    place = public_url(url)
    try:
        with _opener().open(url, timeout=60) as response, tempfile.TemporaryFile() as file:
            expected = response.headers.get("Content-Length")
            total = 0
            while data := response.read(1 << 18):
                file.write(data)
                total += len(data)
            if expected is not None and expected.isdigit() and total != int(expected):
                raise PyctrError(f'Get "{place}": {total} bytes came, expected {expected}')
            file.seek(0)
            return os.dup(file.fileno())
    except urllib.error.HTTPError as error:
        raise PyctrError(f'Get "{place}": got HTTP status code {error.code}') from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise PyctrError(f'Get "{place}": {(getattr(reason, "strerror", None) or str(reason)).lower()}') from None


def _opener() -> OpenerDirector:
    """http and https, wherever a redirect leads: urllib's own opener knows file: and ftp: too."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler, request.HTTPErrorProcessor, request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def images_to_save(store: Store, references: list[str], *, platform: str | None = None) -> list[Image]:
    """The images that references mean, each once with the names asked for; a repository without a tag means all its tags."""
    wanted = parse_platform(platform) if platform else None
    chosen: dict[str, Image] = {}
    everything = store.images()
    for text in references:
        for image, names in _matching(store, everything, text):
            _check_platform(image, text, wanted)
            known = chosen.setdefault(image.id, type(image)(store, image.id, image.manifest_digest, []))
            known.names += [name for name in names if name not in known.names]
    return list(chosen.values())


def _matching(store: Store, everything: list[Image], text: str) -> list[tuple[Image, list[str]]]:
    if not is_hex(text.removeprefix("sha256:")) or store.find(text) is None:
        reference = parse_reference(text)
        last = text.rpartition("/")[2]
        if reference.digest is None and ":" not in last:
            found = [
                (image, names)
                for image in everything
                if (names := [name for name in image.names if parse_reference(name).name == reference.name])
            ]
            if found:
                return found
    image = store.find(text)
    if image is None:
        has_tag = ":" in text.rpartition("/")[2] or "@" in text
        raise NotFound(f"reference does not exist: {text}" if has_tag else f"No such image: {text}")
    by_name = "/" in text or ":" in text.removeprefix("sha256:") or not is_hex(text.removeprefix("sha256:"))
    return [(image, image.names if by_name else [])]


def _check_platform(image: Image, text: str, wanted: tuple[str, str, str] | None) -> None:
    config = image.config
    found = (config.get("os"), config.get("architecture"), config.get("variant") or "")
    if wanted is None or (found[:2] == wanted[:2] and (not wanted[2] or not found[2] or found[2] == wanted[2])):
        return
    asked = "/".join(part for part in wanted if part)
    raise NotFound(
        f"image with reference {text} was found but does not provide the specified platform ({asked})",
        hint=f"it is for {platform_text(config)}",
    )


def save_images(store: Store, references: list[str], sink: int, *, platform: str | None = None) -> list[Image]:
    """Write images to a descriptor as an archive, none of them being removed meanwhile; which they were."""
    from pyctr.image.save import save

    pins: list[int] = []
    try:
        images = images_to_save(store, references, platform=platform)
        with write.adding(store):  # blobs stay, even those of an image that loses its name now
            pins += [image.pin() for image in images]
            save(store, images, sink)
        return images
    finally:
        for pin in pins:
            os.close(pin)
