"""What the journal hears of images: Docker's actions and attributes (moby daemon/images/image_events.go)."""

from __future__ import annotations

from pyctr.engine.containers.events import write_entry
from pyctr.errors import CorruptData, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.image.reference import Reference
    from pyctr.image.store import Image


def write_image_event(engine: Engine, action: str, image: Image, name: str = "") -> None:
    """An event of an image: its labels, and as its name `name`, or its id where the action is about no name."""
    write_entry(engine.root, "image", action, image.id, {**labels_of(image), "name": name or image.id})


def write_transfer(engine: Engine, action: str, reference: Reference, *, all_tags: bool = False) -> None:
    """``pull`` and ``push`` are of a name, not of an image: its id there is the name, its name that of the repository."""
    found = engine.image_store.find(str(reference))
    labels = {} if found is None else labels_of(found)
    actor = reference.familiar_name if all_tags else reference.familiar
    write_entry(engine.root, "image", action, actor, {**labels, "name": reference.familiar_name})


def write_deleted(engine: Engine, image_id: str) -> None:
    """An image is gone, and its labels with it."""
    write_entry(engine.root, "image", "delete", image_id, {"name": image_id})


def labels_of(image: Image) -> dict[str, str]:
    """An image's labels; none of one that is damaged."""
    try:
        return (image.config.get("config") or {}).get("Labels") or {}
    except (NotFound, CorruptData, AttributeError):
        return {}
