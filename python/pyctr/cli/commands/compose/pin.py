"""`config --resolve-image-digests` and `--lock-image-digests`: images by what their registry has now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.errors import NotFound

if TYPE_CHECKING:
    from pyctr.compose import Project
    from pyctr.engine import Engine


def pinned(engine: Engine, project: Project, *, only_images: bool) -> Project:
    """The project with a digest in every image's name; with ``only_images`` an override file of nothing else.

    Raises NotFound, RegistryError.
    """
    services = type(project.services)()
    for name, service in project.services.items():
        image = {"image": resolve(engine, service["image"])} if service.get("image") else {}
        if not only_images:
            services[name] = {**service, **image}
        elif image:
            services[name] = image
    model: dict[str, Any] = {"services": services} if only_images else {**project.model, "services": services}
    return project._replace(model=model)


def resolve(engine: Engine, image: str) -> str:
    """The image's full name with the digest its registry gives its tag; one that has a digest stays."""
    from pyctr.engine.transfer import connect
    from pyctr.image.reference import parse_reference

    reference = parse_reference(image)
    if reference.digest:
        return f"{reference.name}@{reference.digest}"
    tag = reference.tag or "latest"
    digest = connect(engine, reference.domain, pull=True).repository(reference.path).has_manifest(tag)
    if digest is None:
        raise NotFound(f"manifest for {image} not found")
    return f"{reference.name}:{tag}@{digest}"
