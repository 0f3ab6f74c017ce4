"""YAML text to plain trees, with the place of every key.

PyYAML's C parser (libyaml, of which go-yaml's scanner is a port) makes the nodes; scalars are go-yaml's. Duplicate keys and
keys that are no strings are refused; aliases are expanded under a cap (docs/security.md, "YAML alias bombs").
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from pyctr.compose.errors import ComposeError, Path, Places
from pyctr.compose.scalars import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest file read, in bytes.
MAX_BYTES = 64 << 20
#: Most values a file may have once its aliases are expanded, beyond those it spells out.
MAX_ALIASED = 200_000
MAX_DEPTH = 200
_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"


class _Loader(yaml.CLoader):
    """The C parser with go-yaml's idea of what an untagged scalar is."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> str:
        """The tag of a node that has none."""
        if kind is yaml.ScalarNode:
            if not implicit[0]:
                return f"{_TAG}str"
            return f"{_TAG}merge" if value == "<<" else f"{_TAG}{_PLAIN}"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"


class Document(NamedTuple):
    """One document of a file: its tree, and the paths tagged ``!reset`` or ``!override``."""

    tree: dict[str, Any]
    resets: tuple[Path, ...]


def parse(text: bytes, file: str, places: Places) -> Iterator[Document]:
    """Each document of a file. Raises ComposeError with file and line."""
    if len(text) > MAX_BYTES:
        raise ComposeError(f"{file}: file of {len(text)} bytes is longer than {MAX_BYTES}")
    loader = _Loader(text)
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            builder = _Builder(file, places)
            tree = builder.build(node, ())
            if tree is None:
                tree = {}
            if not isinstance(tree, dict):
                raise ComposeError(f"{file}: top-level object must be a mapping")
            yield Document(tree, tuple(builder.resets))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        raise ComposeError(f"{place}: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ComposeError(f"{file}: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ComposeError(f"{file}: nested too deeply") from error
    finally:
        loader.dispose()


class _Builder:
    """Nodes to values."""

    def __init__(self, file: str, places: Places) -> None:
        self.file, self.places = file, places
        self.resets: list[Path] = []
        self.seen: set[int] = set()
        self.open: set[int] = set()
        self.aliased = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node; its place noted. Returns _GONE for what ``!reset`` removes."""
        self.places.note(path, self.file, node.start_mark.line + 1)
        self.count(node, path)
        tag = node.tag
        if tag in ("!reset", "!override"):
            self.resets.append(path)
            if tag == "!reset":
                return _GONE
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.open:
            raise self.error(node, "anchor contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self.sequence(node, path)
            return self.mapping(node, path)
        finally:
            self.open.discard(id(node))

    def count(self, node: yaml.Node, path: Path) -> None:
        """Refuse what grows out of hand."""
        if len(path) > MAX_DEPTH:
            raise self.error(node, f"nested deeper than {MAX_DEPTH}")
        if id(node) in self.seen:
            self.aliased += 1
            if self.aliased > MAX_ALIASED:
                raise self.error(node, f"aliases expand to more than {MAX_ALIASED} values")
        self.seen.add(id(node))

    def scalar(self, node: yaml.ScalarNode) -> Any:
        """A scalar by its tag; where it is plain and has none, by its looks."""
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind in (_PLAIN, "merge"):
            return resolve(text)
        if kind == "float":
            value = resolve(text)
            return float(value) if isinstance(value, int) else value
        if kind in ("int", "bool", "null", "timestamp"):
            return resolve(text)
        if kind == "binary":
            return base64.b64decode(text).decode(errors="replace")
        return text

    def sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        """The items that stay."""
        items = (self.build(item, (*path, index)) for index, item in enumerate(node.value))
        return [item for item in items if item is not _GONE]

    def mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """The pairs; those of merge keys where the mapping has none of its own."""
        pairs: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged.append(value_node)
                continue
            key = self.key(key_node, path)
            line = key_node.start_mark.line + 1
            if key in lines:
                raise self.error(key_node, f'mapping key "{key}" already defined at line {lines[key]}')
            lines[key] = line
            value = self.build(value_node, (*path, key))
            self.places.note((*path, key), self.file, line)
            if value is not _GONE:
                pairs[key] = value
        for value_node in merged:
            for key, value in self.merge(value_node, path).items():
                if key not in lines:
                    pairs.setdefault(key, value)
        return pairs

    def key(self, node: yaml.Node, path: Path) -> str:
        """A key, which must be a string."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, "mapping key is not a string")
        value = self.scalar(node)
        if not isinstance(value, str):
            where = ".".join(map(str, path)) or "top level"
            raise self.error(node, f"non-string key {'in' if path else 'at'} {where}: {node.value}")
        return value

    def merge(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What ``<<`` brings: of several mappings the first wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs: dict[str, Any] = {}
        for each in nodes:
            if not isinstance(each, yaml.MappingNode):
                raise self.error(node, "map merge requires map or sequence of maps as the value")
            for key, value in self.build(each, path).items():
                pairs.setdefault(key, value)
        return pairs

    def error(self, node: yaml.Node, message: str) -> ComposeError:
        return ComposeError(f"{self.file}:{node.start_mark.line + 1}: {message}")


class _Gone:
    """The value of what ``!reset`` removed."""


_GONE = _Gone()
