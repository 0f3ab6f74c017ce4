"""Built images to a registry: blobs first, then manifests, an index last."""

from __future__ import annotations

from pyctr.engine.transfer import connect
from pyctr.image import write
from pyctr.image.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from pyctr.image.reference import parse_reference
from pyctr.registry.upload import Uploader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.export import Built
    from pyctr.image.store import Store


def push_built(executor: Executor, built: Built, name: str) -> None:
    """Push what was built under one name."""
    from pyctr.engine.build.outputs import told

    reference = parse_reference(name)
    store = executor.store
    with told(executor, f"pushing {reference}"), write.adding(store):
        registry = connect(executor.engine, reference.domain, pull=False)
        try:
            uploader = Uploader(registry.repository(reference.path))
            for image in built.images:
                push_blobs(uploader, store, image.manifest_digest)
                tag = image.manifest_digest if built.index_digest else reference.tag or "latest"
                uploader.put_manifest(tag, store.read_blob(image.manifest_digest), OCI_MANIFEST)
            if built.index_digest:
                uploader.put_manifest(reference.tag or "latest", store.read_blob(built.index_digest), OCI_INDEX)
        finally:
            registry.transport.close()


def push_blobs(uploader: Uploader, store: Store, manifest_digest: str) -> None:
    """Config and layers of a manifest, those that the registry does not have."""
    manifest = parse_manifest(store.read_blob(manifest_digest))
    for blob in (*manifest.layers, manifest.config):
        if not uploader.repository.has_blob(blob.digest):
            uploader.upload(store.blob_path(blob.digest), blob.digest, blob.size, lambda _: None)
