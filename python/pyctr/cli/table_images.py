"""Commands on images and registries (see `pyctr.cli.table`)."""

from __future__ import annotations

from pyctr.cli.table import FILTER, FLAG, FORMAT, IDS, LIST, NO_TRUNC, PLATFORM, TEXT

INSECURE = ("insecure", "", FLAG, "", "The registry need not prove who it is")

COMMANDS = {
    "images": (
        "images", 0, 1, False, "[REPOSITORY[:TAG]]", "List images",
        (
            ("all", "a", FLAG, "", "Show nameless ones too"),
            ("digests", "", FLAG, "", "Show digests"),
            FILTER,
            FORMAT,
            NO_TRUNC,
            IDS,
            ("tree", "", FLAG, "", "List platforms of an image as a tree (there is one)"),
        ),
    ),
    "rmi": (
        "images", 1, None, False, "IMAGE [IMAGE...]", "Remove images",
        (
            ("force", "f", FLAG, "", "Also when a stopped container or another name uses it"),
            ("no-prune", "", FLAG, "", "Keep nameless parents (there are none)"),
            ("platform", "", LIST, "OS/ARCH[/VARIANT]", "Only if the image is for this platform"),
        ),
    ),
    "load": (
        "images", 0, 0, False, "", "Load images from an archive",
        (
            ("input", "i", TEXT, "FILE", "Read this file, not standard input"),
            PLATFORM,
            ("quiet", "q", FLAG, "", "Print nothing"),
        ),
    ),
    "tag": ("images", 2, 2, False, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Give an image a further name", ()),
    "history": (
        "images", 1, 1, False, "IMAGE", "Show how an image was made",
        (FORMAT, ("human", "H", FLAG, "", "Sizes and dates for people (default true)"), NO_TRUNC, IDS, PLATFORM),
    ),
    "commit": (
        "images_io", 1, 2, False, "CONTAINER [REPOSITORY[:TAG]]", "Make an image of a container",
        (
            ("author", "a", TEXT, "NAME", "Author of the image"),
            ("change", "c", LIST, "INSTRUCTION", "Apply a Dockerfile instruction to the image"),
            ("message", "m", TEXT, "TEXT", "What was done"),
            ("pause", "p", FLAG, "", "Hold the container still meanwhile (default true)"),
        ),
    ),
    "diff": ("images_io", 1, 1, False, "CONTAINER", "Show what a container changed of its image", ()),
    "export": (
        "images_io", 1, 1, False, "CONTAINER", "Write a container's file system as a tar",
        (("output", "o", TEXT, "FILE", "Write to this file, not standard output"),),
    ),
    "import": (
        "images_io", 1, None, False, "file|URL|- [REPOSITORY[:TAG]]", "Make an image of a tar",
        (
            ("change", "c", LIST, "INSTRUCTION", "Apply a Dockerfile instruction to the image"),
            ("message", "m", TEXT, "TEXT", "What was done"),
            PLATFORM,
        ),
    ),
    "save": (
        "images_io", 1, None, False, "IMAGE [IMAGE...]", "Write images to an archive",
        (("output", "o", TEXT, "FILE", "Write to this file, not standard output"), PLATFORM),
    ),
    "pull": (
        "transfer", 1, 1, False, "NAME[:TAG|@DIGEST]", "Pull an image from a registry",
        (
            ("all-tags", "a", FLAG, "", "Pull every tag of the repository"),
            ("disable-content-trust", "", FLAG, "", "Skip verification of signatures (there is none)"),
            ("platform", "", TEXT, "OS/ARCH", "Platform of the image"),
            ("progress", "", TEXT, "auto|plain|tty|json", "How progress is shown"),
            ("quiet", "q", FLAG, "", "Print the name only"),
        ),
    ),
    "push": (
        "transfer", 1, 1, False, "NAME[:TAG]", "Push an image to a registry",
        (
            ("all-tags", "a", FLAG, "", "Push every tag of the repository"),
            ("disable-content-trust", "", FLAG, "", "Skip signing (there is none)"),
            ("platform", "", TEXT, "OS/ARCH[/VARIANT]", "Only if the image is for this platform"),
            ("progress", "", TEXT, "auto|plain|tty|json", "How progress is shown"),
            ("quiet", "q", FLAG, "", "Print the name only"),
        ),
    ),
    "login": (
        "login", 0, 1, False, "[SERVER]", "Log in to a registry",
        (
            ("password", "p", TEXT, "PASSWORD", "Password, where every process can read it"),
            ("password-stdin", "", FLAG, "", "Read the password from standard input"),
            ("username", "u", TEXT, "NAME", "User name"),
        ),
    ),
    "logout": ("login", 0, 1, False, "[SERVER]", "Log out from a registry", ()),
    "search": (
        "search", 1, 1, False, "TERM", "Search a registry for images",
        (FILTER, FORMAT, ("limit", "", TEXT, "N", "Show at most N (default 25)"), NO_TRUNC),
    ),
    "manifest annotate": (
        "manifest", 2, 2, False, "MANIFEST_LIST MANIFEST", "Say what an image of a list is for",
        (
            ("arch", "", TEXT, "ARCH", "Architecture"),
            ("os", "", TEXT, "OS", "Operating system"),
            ("os-features", "", LIST, "FEATURE,...", "Features of the operating system"),
            ("os-version", "", TEXT, "VERSION", "Version of the operating system"),
            ("variant", "", TEXT, "VARIANT", "Variant of the architecture"),
        ),
    ),
    "manifest create": (
        "manifest", 2, None, False, "MANIFEST_LIST MANIFEST [MANIFEST...]", "Make a list of images at a registry",
        (("amend", "a", FLAG, "", "Add to a list that is there"), INSECURE),
    ),
    "manifest inspect": (
        "manifest", 1, 2, False, "[MANIFEST_LIST] MANIFEST", "Show a list, or a manifest as its registry has it",
        (INSECURE, ("verbose", "v", FLAG, "", "Show reference and descriptor too")),
    ),
    "manifest push": (
        "manifest", 1, 1, False, "MANIFEST_LIST", "Push a list to its registry",
        (INSECURE, ("purge", "p", FLAG, "", "Remove the list here once it is pushed")),
    ),
    "manifest rm": ("manifest", 1, None, False, "MANIFEST_LIST [MANIFEST_LIST...]", "Remove lists that are here", ()),
    "image inspect": (
        "inspect", 1, None, False, "IMAGE [IMAGE...]", "Show everything about images",
        (("format", "f", TEXT, "TEMPLATE", "json or a Go template"), PLATFORM),
    ),
    "image prune": (
        "images", 0, 0, False, "", "Remove nameless images",
        (
            ("all", "a", FLAG, "", "All that no container uses"),
            ("filter", "", LIST, "KEY=VALUE", "Remove only what matches (until, label, label!)"),
            ("force", "f", FLAG, "", "Do not ask"),
        ),
    ),
    "image bootstrap": (
        "images", 1, 1, False, "busybox|debian[:SUITE]", "Make a base image from the distribution's packages",
        (
            ("include", "", LIST, "PACKAGE,...", "Further Debian packages"),
            ("name", "", TEXT, "NAME", "Name of the image"),
        ),
    ),
}  # fmt: skip
