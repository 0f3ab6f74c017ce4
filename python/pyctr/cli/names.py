"""Names there are, read from the directories alone: for completion, and for "did you mean". Imports nothing."""

from __future__ import annotations

import os


def _listed(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name[0] != ".")
    except OSError:
        return []


def containers(root: str, run_root: str, *, running: bool = False) -> list[str]:
    """Names of containers; of those that may be running only."""
    names = _listed(root + "/names")
    if not running:
        return names
    active = set(_listed(run_root))
    return [name for name in names if _read(f"{root}/names/{name}") in active]


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def images(root: str, run_root: str) -> list[str]:
    """Names of images with their tags, as people write them."""
    del run_root
    found = []
    for file in _listed(root + "/refs"):
        name = _decoded(file).removesuffix(".json")
        if ":" in name.rpartition("/")[2] and "@" not in name and not name.startswith("sha256:"):
            found.append(
                name.removeprefix("docker.io/").removeprefix("library/") if name[:10] == "docker.io/" else name
            )
    return found


def _decoded(text: str) -> str:
    """Percent-encoding undone."""
    head, *rest = text.split("%")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)


def volumes(root: str, run_root: str) -> list[str]:
    """Names of volumes."""
    del run_root
    return _listed(root + "/volumes")


def networks(root: str, run_root: str) -> list[str]:
    """Names of networks, those every engine has too."""
    del run_root
    made = [name.removesuffix(".json") for name in _listed(root + "/networks") if name.endswith(".json")]
    return sorted({*made, "bridge", "host", "none"})
