"""Changes of the store: adding blobs, layers and names; removing; collecting what nothing leads to."""

from __future__ import annotations

import contextlib
import fcntl
import os

from pyctr._core import extract_layer, json_dumps, json_loads, remove_tree, sha256, store_blob, write_atomic
from pyctr.errors import CorruptData, NotFound
from pyctr.image.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, parse_config, parse_manifest
from pyctr.image.settle import announce, boot_id, is_present, set_aside, settle
from pyctr.image.store import Image, Store, encode_name, entry_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from pyctr._core import WrittenLayer
    from pyctr.image.manifest import Descriptor

#: A nameless image keeps an entry of this form, so that it can be listed, used and removed by id.
_NAMELESS = "-"
#: There is something to sweep, which nobody could do at the time.
_GARBAGE = "images.garbage"
_LAYER_MAX_BYTES = 64 << 30
_EXTRACTED_AT_ONCE = 3


@contextlib.contextmanager
def adding(store: Store) -> Iterator[None]:
    """While content is added that no name leads to yet: garbage collection waits."""
    yield from _locked(store, fcntl.LOCK_SH)
    if os.path.exists(f"{store.root}/{_GARBAGE}"):
        sweep(store)


@contextlib.contextmanager
def alone(store: Store) -> Iterator[None]:
    """While names or content are removed: nobody adds."""
    yield from _locked(store, fcntl.LOCK_EX)


def _locked(store: Store, operation: int) -> Iterator[None]:
    store.prepare()
    lock = os.open(f"{store.root}/images.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, operation)
        yield
    finally:
        os.close(lock)


def put_blob(store: Store, data: bytes, *, sync: bool = True, kept: Collection[str] = ()) -> str:
    """Store a small blob; its digest. Without `sync` it is settled with the image that it becomes part of.

    `kept` are digests that a name leads to: whoever named them has seen to it that the disk has them.
    """
    digest = f"sha256:{sha256(data)}" if kept else ""
    if digest in kept and store.has_blob(digest) and store.read_blob(digest) == data:
        return digest
    reader, writer = os.pipe()
    try:
        # Within a pipe's capacity this cannot block; more goes through a file.
        if len(data) > 60_000:
            return _put_large_blob(store, data, sync=sync)
        os.write(writer, data)
        os.close(writer)
        writer = -1
        return store_blob(reader, store.blobs, sync=sync).digest
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _put_large_blob(store: Store, data: bytes, *, sync: bool) -> str:
    memory = os.memfd_create("blob")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(memory, 0, os.SEEK_SET)
        return store_blob(memory, store.blobs, sync=sync).digest
    finally:
        os.close(memory)


def add_layer(store: Store, digest: str, diff_id: str) -> None:
    """Extract a stored blob as a layer, unless it is there. Idempotent; two at once agree."""
    if is_present(store, diff_id):
        return
    set_aside(store, diff_id)
    temporary = f"{store.layers}/.{diff_id[7:19]}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    os.mkdir(temporary, 0o755)
    try:
        info = extract_layer(
            store.blob_path(digest), temporary, digest=digest, diff_id=diff_id, max_bytes=_LAYER_MAX_BYTES
        )
        _publish_layer(store, temporary, digest, diff_id, info.size)
    finally:
        if os.path.isdir(temporary):
            remove_tree(temporary)


def new_layer(store: Store, pack: Callable[[str], WrittenLayer]) -> WrittenLayer:
    """Let `pack` write a layer: a blob into the store and, in the same pass, its tree into the directory it is given.

    The caller holds `adding`.
    """
    temporary = f"{store.layers}/.new.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    os.mkdir(temporary, 0o755)
    try:
        written = pack(temporary)
        _publish_layer(store, temporary, written.digest, written.diff_id, written.content_size)
    finally:
        if os.path.isdir(temporary):
            remove_tree(temporary)
    return written


def take_layer(store: Store, directory: str, written: WrittenLayer) -> None:
    """Let a directory, on the store's file system and as extraction would make it, be the layer that was written of it.

    The caller holds `adding`.
    """
    _publish_layer(store, directory, written.digest, written.diff_id, written.content_size)


def _publish_layer(store: Store, temporary: str, digest: str, diff_id: str, size: int) -> None:
    target = store.layer_path(diff_id)
    if is_present(store, diff_id):
        return
    set_aside(store, diff_id)
    facts = {"digest": digest, "size": size, "unsynced": boot_id()}
    write_atomic(target + ".json", json_dumps(facts), sync=False)
    try:
        os.rename(temporary, target)
    except OSError:
        if not os.path.isdir(target):
            raise


def _add_layers(store: Store, missing: dict[str, Descriptor]) -> None:
    """Extract layers, several side by side, the largest first. Raises what the first failure raised."""
    order = sorted(missing.items(), key=lambda item: item[1].size, reverse=True)
    if len(order) < 2:
        for diff_id, layer in order:
            add_layer(store, layer.digest, diff_id)
        return
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    with ThreadPoolExecutor(_EXTRACTED_AT_ONCE, thread_name_prefix="layer") as threads:
        futures = [threads.submit(add_layer, store, layer.digest, diff_id) for diff_id, layer in order]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


def add_image(store: Store, manifest_digest: str, names: list[str], *, sync: bool = True) -> Image:
    """Make an image of a stored manifest: extract its layers, then let the names lead to it.

    The caller holds `adding`. Without `sync` it is announced that the caller settles afterwards: whoever settles what he sees
    announced settles all of it. Raises CorruptData if anything is missing or does not match.
    """
    manifest = parse_manifest(store.read_blob(manifest_digest))
    config = parse_config(store.read_blob(manifest.config.digest))
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest.layers):
        raise CorruptData(f"read image: {len(manifest.layers)} layers, but the config has {len(diff_ids)} diff ids")
    missing: dict[str, Descriptor] = {}
    for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
        if is_present(store, diff_id):
            continue
        if not store.has_blob(layer.digest):
            raise CorruptData(f"read image: layer {layer.digest} is missing")
        missing.setdefault(diff_id, layer)
    _add_layers(store, missing)
    if sync:
        settle(store, diff_ids)
    else:
        announce(store)
    for name in names or [""]:
        _write_entry(store, manifest.config.digest, manifest_digest, name)
    return Image(store, manifest.config.digest, manifest_digest, names)


def build_manifest(
    store: Store,
    config: dict[str, Any],
    layers: list[tuple[str, str]],
    *,
    annotations: dict[str, str] | None = None,
    sizes: dict[str, int] | None = None,
    sync: bool = True,
    kept: Collection[str] = (),
) -> str:
    """Store a config and an OCI manifest for layers (digest, media type), base first; the manifest's digest.

    `sizes` are those of blobs that are not in the store; `sync` and `kept` are those of `put_blob`.
    """
    known = sizes or {}
    config_data = json_dumps(config)
    config_digest = put_blob(store, config_data, sync=sync, kept=kept)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": len(config_data)},
        "layers": [
            {
                "mediaType": kind or OCI_LAYER,
                "digest": digest,
                "size": known[digest] if digest in known else os.path.getsize(store.blob_path(digest)),
            }
            for digest, kind in layers
        ],
        **({"annotations": annotations} if annotations else {}),
    }
    return put_blob(store, json_dumps(manifest), sync=sync, kept=kept)


def manifest_config(store: Store, manifest_digest: str) -> str:
    """The digest of a stored manifest's config, which is the image's id."""
    return parse_manifest(store.read_blob(manifest_digest)).config.digest


def tag(store: Store, image_id: str, manifest_digest: str, name: str) -> None:
    """Let a name lead to an image; one that loses its last name by this stays, nameless. Raises NotFound if it was removed."""
    lock = Image(store, image_id, manifest_digest, []).pin()
    try:
        with adding(store):
            _write_entry(store, image_id, manifest_digest, name)
    finally:
        os.close(lock)


def name_image(store: Store, image_id: str, manifest_digest: str, name: str, *, digest: str = "") -> None:
    """As `tag`, for who holds `adding`; `digest` is what the name leads to at its registry."""
    _write_entry(store, image_id, manifest_digest, name, digest)


def name_pushed(store: Store, name: str, entry: dict[str, str], digest: str) -> None:
    """Note what a name leads to at the registry it was pushed to, unless it leads to something else here by now."""
    with adding(store):
        if store._read_ref(store.ref_path(name)) == entry and entry.get("digest") != digest:
            write_atomic(store.ref_path(name), entry_bytes(name, entry["manifest"], entry["config"], digest))


def _write_entry(store: Store, image_id: str, manifest_digest: str, name: str, digest: str = "") -> None:
    nameless = f"{store.refs}/{_NAMELESS}{image_id[7:]}"
    if not name:
        if not any(entry["config"] == image_id for entry in store.entries()):
            write_atomic(nameless, entry_bytes("", manifest_digest, image_id))
        return
    path = f"{store.refs}/{encode_name(name)}"
    before = store._read_ref(path)
    if before is not None and before["config"] != image_id:
        others = [entry for entry in store.entries() if entry["config"] == before["config"] and entry["name"] != name]
        if not others:
            write_atomic(
                f"{store.refs}/{_NAMELESS}{before['config'][7:]}", entry_bytes("", before["manifest"], before["config"])
            )
    write_atomic(path, entry_bytes(name, manifest_digest, image_id, digest))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(nameless)


def untag(store: Store, name: str) -> None:
    """Take a name away. The caller holds `alone`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{store.refs}/{encode_name(name)}")


def forget(store: Store, image_id: str) -> None:
    """Take the entry of a nameless image away. The caller holds `alone`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{store.refs}/{_NAMELESS}{image_id[7:]}")


def keep_nameless(store: Store, image: Image) -> None:
    """Keep an image that lost its last name."""
    write_atomic(f"{store.refs}/{_NAMELESS}{image.id[7:]}", entry_bytes("", image.manifest_digest, image.id))


@contextlib.contextmanager
def removing(store: Store, image_id: str) -> Iterator[None]:
    """While an image is being removed: no container and no name is made of it."""
    try:
        lock = os.open(store.blob_path(image_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield  # damaged: nothing can be made of it anyway
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def sweep(store: Store) -> list[str]:
    """Remove what no name leads to and no container stands on; the diff ids removed.

    While somebody adds content that no name leads to yet this is left to them: whoever is last sweeps.
    """
    _write_mark(store)
    store.prepare()
    lock = os.open(f"{store.root}/images.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = collect(store, also_layers_of=layers_of_containers(store))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{store.root}/{_GARBAGE}")
    except BlockingIOError:
        return []
    finally:
        os.close(lock)
    remove_rubbish(store)
    return removed


def _write_mark(store: Store) -> None:
    os.close(os.open(f"{store.root}/{_GARBAGE}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def layers_of_containers(store: Store) -> set[str]:
    """Layers (hex) that containers stand on. Raises CorruptData for a record that cannot be read: they are not known then."""
    layers: set[str] = set()
    base = f"{store.root}/containers"
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return layers
    for name in names:
        try:
            with open(f"{base}/{name}/config.json", "rb") as file:
                layers.update(json_loads(file.read())["Pyctr"]["layers"])
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (ValueError, LookupError, TypeError):
            raise CorruptData(f"read {base}/{name}/config.json: malformed") from None
    return layers


def kept_by_builds(store: Store) -> set[str]:
    """Layers and blobs (hex) that the build cache keeps, and builds under way. Leases nobody holds are removed."""
    kept: set[str] = set()
    base = f"{store.root}/build"
    for name in _names_in(f"{base}/cache"):
        if name.startswith("."):
            continue
        try:
            with open(f"{base}/cache/{name}", "rb") as file:
                layer = json_loads(file.read())["layer"]
            kept.update(layer[part][7:] for part in ("diff_id", "digest") if layer)
        except (OSError, ValueError, LookupError, TypeError):
            continue  # no record that anybody would use
    for name in _names_in(f"{base}/leases"):
        try:
            with open(f"{base}/leases/{name}", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                os.unlink(f"{base}/leases/{name}")
        except BlockingIOError:
            with open(f"{base}/leases/{name}", "rb") as file:
                kept.update(line[7:] for line in file.read().decode().split())
        except FileNotFoundError:
            continue
    return kept


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def collect(store: Store, *, also_layers_of: set[str]) -> list[str]:
    """Remove blobs and layers that no name leads to; the diff ids removed. The caller holds `alone`.

    `also_layers_of` are layers (hex) that containers stand on. Layers are only renamed, which is quick: `remove_rubbish` does
    the rest, without a lock. Where an image cannot be read nothing is removed: what it needs is not known.
    """
    blobs: set[str] = kept_by_builds(store)
    layers: set[str] = also_layers_of | blobs
    try:
        # By name, not by image: two manifests may have one config, their layers compressed differently.
        for entry in store.entries():
            manifest = parse_manifest(store.read_blob(entry["manifest"]))
            blobs.update(digest[7:] for digest in (entry["manifest"], entry["config"]))
            blobs.update(layer.digest[7:] for layer in manifest.layers)
        for image in store.images():
            layers.update(layer[7:] for layer in image.layers)
    except (NotFound, CorruptData, LookupError, ValueError):
        return []
    removed = []
    for name in os.listdir(store.layers):
        if name.removesuffix(".json") in layers or name.startswith("."):
            continue
        if name.endswith(".json"):
            os.unlink(f"{store.layers}/{name}")
        else:
            # Renamed first: a removal that is interrupted leaves rubbish, never half a layer under its name.
            os.rename(f"{store.layers}/{name}", f"{store.layers}/.{name}.{os.urandom(4).hex()}.gone")
            removed.append("sha256:" + name)
    for name in os.listdir(store.layers):
        if name.startswith(".") and not name.endswith(".gone"):
            os.rename(f"{store.layers}/{name}", f"{store.layers}/{name}.gone")  # of an addition that was killed
    for name in os.listdir(store.blobs):
        if name not in blobs:
            os.unlink(f"{store.blobs}/{name}")
    return removed


def remove_rubbish(store: Store) -> None:
    """Remove what `collect` put aside."""
    for name in os.listdir(store.layers):
        if name.startswith(".") and name.endswith(".gone"):
            remove_tree(f"{store.layers}/{name}")
