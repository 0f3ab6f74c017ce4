"""Mounts, volumes, secrets and configs."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError
from pyctr.compose.kubernetes.parts import Losses, clean, dns_name, labels, manifest

if TYPE_CHECKING:
    from pyctr.compose.kubernetes.parts import Parts
    from pyctr.compose.load import Project

#: A claim must name a size; compose files have none. `x-kubernetes-size` of a volume says another.
DEFAULT_SIZE = "1Gi"
#: Kubernetes' own bound of a Secret or ConfigMap, in bytes.
MAX_BYTES = 1 << 20
_PROPAGATION = {
    "rshared": "Bidirectional",
    "shared": "Bidirectional",
    "rslave": "HostToContainer",
    "slave": "HostToContainer",
}


class Mounts:
    """The volumes of a pod and where its container has them."""

    def __init__(self) -> None:
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []

    def add(self, source: dict[str, Any], mount: dict[str, Any], name: str | None = None) -> None:
        """A mount; volumes of one name are one volume."""
        name = name or f"mount-{len(self.volumes)}"
        if all(volume["name"] != name for volume in self.volumes):
            self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, **clean(mount)})


def mounts(parts: Parts) -> Mounts:
    """Everything a service mounts."""
    found = Mounts()
    for index, entry in enumerate(parts.take("volumes", [])):
        _mount(parts, found, dict(entry), f"volumes[{index}]")
    for text in parts.take("tmpfs", []):
        path, _, options = text.partition(":")
        found.add({"emptyDir": {"medium": "Memory"}}, {"mountPath": path})
        if options:
            parts.lose(f"tmpfs.{path}", f"options {options}")
    size = parts.take("shm_size")
    if size:
        found.add({"emptyDir": {"medium": "Memory", "sizeLimit": size}}, {"mountPath": "/dev/shm"})  # noqa: S108
    for kind in ("secrets", "configs"):
        for index, entry in enumerate(parts.take(kind, [])):
            _file(parts, found, kind, dict(entry), index)
    return found


def _mount(parts: Parts, found: Mounts, entry: dict[str, Any], where: str) -> None:
    kind, source = entry.pop("type", "volume"), entry.pop("source", None)
    bind, volume = dict(entry.pop("bind", None) or {}), dict(entry.pop("volume", None) or {})
    tmpfs, image = dict(entry.pop("tmpfs", None) or {}), dict(entry.pop("image", None) or {})
    mount = {"mountPath": entry.pop("target"), "readOnly": entry.pop("read_only", None)}
    if kind == "bind":
        create = bind.pop("create_host_path", False)
        mount["mountPropagation"] = _PROPAGATION.get(bind.pop("propagation", ""))
        found.add({"hostPath": {"path": source, **({"type": "DirectoryOrCreate"} if create else {})}}, mount)
        parts.lose(where, f"{source} is taken from whichever node the pod runs on")
    elif kind == "volume" and source:
        mount["subPath"] = volume.pop("subpath", None)
        found.add({"persistentVolumeClaim": {"claimName": _claim(parts.project, source)}}, mount, dns_name(source))
    elif kind == "image":
        mount["subPath"] = image.pop("subpath", None)
        found.add({"image": {"reference": source}}, mount)
    elif kind in ("volume", "tmpfs"):
        memory = {"medium": "Memory"} if kind == "tmpfs" else {}
        found.add({"emptyDir": clean({**memory, "sizeLimit": tmpfs.pop("size", None)})}, mount)
    else:
        parts.lose(where, f"mounts of type {kind}")
        return
    for name, rest in (("bind", bind), ("volume", volume), ("tmpfs", tmpfs), ("image", image)):
        for key in rest:
            parts.lose(f"{where}.{name}.{key}")
    for key in entry:
        parts.lose(f"{where}.{key}")


def _claim(project: Project, key: str) -> str:
    volume = (project.model.get("volumes") or {})[key]
    return dns_name(volume["name"])


def _file(parts: Parts, found: Mounts, kind: str, entry: dict[str, Any], index: int) -> None:
    """A secret or config, mounted as the one file it is."""
    source = entry.pop("source")
    default = f"/run/secrets/{source}" if kind == "secrets" else f"/{source}"
    target = entry.pop("target", default)
    if not target.startswith("/"):
        target = f"/run/secrets/{target}" if kind == "secrets" else f"/{target}"
    mode = entry.pop("mode", None)
    name = dns_name((parts.project.model.get(kind) or {})[source]["name"])
    item = {"key": dns_name(source), "path": os.path.basename(target), **({"mode": int(mode, 8)} if mode else {})}
    body = {"secretName": name, "items": [item]} if kind == "secrets" else {"name": name, "items": [item]}
    word = "secret" if kind == "secrets" else "configMap"
    mount = {"mountPath": target, "subPath": os.path.basename(target), "readOnly": True}
    found.add({word: body}, mount, f"{word.lower()}-{index}")
    for key in entry:
        parts.lose(f"{kind}[{index}].{key}")


def claims(project: Project, losses: Losses) -> list[dict[str, Any]]:
    """A PersistentVolumeClaim for each volume that is the project's own."""
    found = []
    for key, volume in (project.model.get("volumes") or {}).items():
        rest = {name: each for name, each in volume.items() if name not in ("name", "external", "labels")}
        size = rest.pop("x-kubernetes-size", DEFAULT_SIZE)
        if rest.get("driver") == "local":
            del rest["driver"]
        for name in rest:
            losses.add(f"volumes.{key}.{name}")
        if volume.get("external"):
            continue
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claim = manifest("PersistentVolumeClaim", "v1", dns_name(volume["name"]), labels(project.name), {"spec": spec})
        if volume.get("labels"):
            claim["metadata"]["annotations"] = dict(volume["labels"])
        found.append(claim)
    return found


def files(project: Project, losses: Losses) -> list[dict[str, Any]]:
    """A Secret or ConfigMap for each secret and config that is the project's own. Raises ComposeError."""
    found = []
    for kind, object_kind in (("secrets", "Secret"), ("configs", "ConfigMap")):
        for key, entry in (project.model.get(kind) or {}).items():
            for name in entry:
                if name not in ("name", "file", "environment", "content", "external", "labels"):
                    losses.add(f"{kind}.{key}.{name}")
            if entry.get("external"):
                continue
            content = base64.b64encode(_content(project, kind, key, entry)).decode()
            body = {"data": {dns_name(key): content}} if kind == "secrets" else {"binaryData": {dns_name(key): content}}
            made = manifest(object_kind, "v1", dns_name(entry["name"]), labels(project.name), body)
            if entry.get("labels"):
                made["metadata"]["annotations"] = dict(entry["labels"])
            found.append(made)
    return found


def _content(project: Project, kind: str, key: str, entry: dict[str, Any]) -> bytes:
    if "content" in entry:
        return str(entry["content"]).encode()
    if "environment" in entry:
        value = project.environment.get(entry["environment"])
        if value is None:
            raise ComposeError(f'{kind}.{key}: environment variable "{entry["environment"]}" is not set')
        return value.encode()
    if "file" not in entry:
        raise ComposeError(f"{kind}.{key}: has no content to export")
    try:
        with open(entry["file"], "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ComposeError(f"{kind}.{key}: open {entry['file']}: {(error.strerror or '').lower()}") from error
    if len(content) > MAX_BYTES:
        raise ComposeError(f"{kind}.{key}: {entry['file']} is larger than the {MAX_BYTES} bytes Kubernetes allows")
    return content
