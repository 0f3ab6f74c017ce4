"""Image names as Docker reads them (distribution's reference grammar), parsed without `re`: every start does it."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_NAME_MAX = 255
_TAG_MAX = 128
_HEX = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _LETTERS | frozenset("_")


def is_digest(text: str) -> bool:
    """Whether this is a sha256 digest: ``sha256:`` and 64 lower-case hexadecimal digits."""
    return len(text) == 71 and text.startswith("sha256:") and _HEX.issuperset(text[7:])


def is_hex(text: str) -> bool:
    """Whether this is made of lower-case hexadecimal digits only."""
    return bool(text) and _HEX.issuperset(text)


class Reference:
    """A name as it is stored: domain, path, and a tag or a digest (or both)."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str | None, digest: str | None) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def name(self) -> str:
        """Domain and path: ``docker.io/library/nginx``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as Docker shows it: without what goes without saying."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in rest else rest

    @property
    def familiar(self) -> str:
        """Name with tag or digest, as Docker shows it."""
        if self.tag is not None:
            return f"{self.familiar_name}:{self.tag}"
        return f"{self.familiar_name}@{self.digest}" if self.digest else self.familiar_name

    def __str__(self) -> str:
        text = self.name
        if self.tag is not None:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"


def parse_reference(text: str) -> Reference:
    """Parse a name with Docker's defaults: domain docker.io, ``library/``, tag latest unless there is a digest.

    Raises InvalidArgument in Docker's words.
    """
    invalid = InvalidArgument(f'invalid reference format: "{text}"')
    if is_hex(text) and len(text) == 64:
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise invalid
    slash = rest.rfind("/")
    colon = rest.rfind(":")
    name, tag = (rest[:colon], rest[colon + 1 :]) if colon > slash else (rest, None)
    if tag is not None and not is_tag(tag):
        raise invalid
    domain, path = _split_domain(name)
    if not _is_domain(domain):
        raise invalid
    if not _is_path(path):
        if _is_path(path.lower()) and path != path.lower():
            raise InvalidArgument(f"invalid reference format: repository name ({path}) must be lowercase")
        raise invalid
    if len(domain) + 1 + len(path) > _NAME_MAX:
        raise InvalidArgument(f"repository name must not be more than {_NAME_MAX} characters")
    if tag is None and not digest:
        tag = DEFAULT_TAG
    return Reference(domain, path, tag, digest or None)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    # What has a dot, a port or capitals, or is localhost, is a host; anything else a user of the default registry.
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = ("docker.io" if first == "index.docker.io" else first), rest
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def is_tag(tag: str) -> bool:
    """Whether this is a tag (distribution-spec, "Pulling manifests")."""
    return 0 < len(tag) <= _TAG_MAX and tag[0] in _WORD and all(letter in _WORD or letter in ".-" for letter in tag)


def _is_domain(domain: str) -> bool:
    host, colon, port = domain.rpartition(":") if not domain.endswith("]") else (domain, "", "")
    if not colon:
        host, port = domain, ""
    elif not (port.isascii() and port.isdigit()):
        return False
    if host.startswith("["):
        return host.endswith("]") and len(host) > 2 and (_HEX | frozenset("ABCDEF:")).issuperset(host[1:-1])
    return bool(host) and all(_is_label(label) for label in host.split("."))


def _is_label(label: str) -> bool:
    return (
        bool(label)
        and label[0] in _LETTERS
        and label[-1] in _LETTERS
        and all(letter in _LETTERS or letter == "-" for letter in label)
    )


def _is_path(path: str) -> bool:
    return bool(path) and all(_is_component(component) for component in path.split("/"))


def _is_component(component: str) -> bool:
    """Lower-case words joined by one dot, one or two underscores, or any number of dashes."""
    if not component or component[0] not in _LOWER or component[-1] not in _LOWER:
        return False
    separator = ""
    for letter in component:
        if letter in _LOWER:
            if separator and not (separator in {".", "_", "__"} or not separator.strip("-")):
                return False
            separator = ""
        elif letter in "._-":
            separator += letter
        else:
            return False
    return True
