"""The options of `pyctr compose` and of its commands that read files only, once (ADR 0002).

Entries are as in `table`: (module of pyctr.cli.commands.compose, fewest arguments, most or None, options end at the first
argument, arguments shown, what it does, options).
"""

from __future__ import annotations

from pyctr.cli.compose_running import RUNNING

FLAG, TEXT, LIST = "flag", "text", "list"

#: Options between `compose` and its command.
COMPOSE_GLOBAL = (
    ("all-resources", "", FLAG, "", "Include all resources, even those no service uses"),
    ("ansi", "", TEXT, "never|always|auto", "When to print control characters"),
    ("compatibility", "", FLAG, "", "Names with underscores, as docker-compose 1 made them"),
    ("dry-run", "", FLAG, "", "Show what would be done"),
    ("env-file", "", LIST, "FILE", "Variables for the compose files, in place of .env"),
    ("file", "f", LIST, "FILE", "Compose file; several are merged in their order, - is standard input"),
    ("parallel", "", TEXT, "N", "How much is done at once, -1 for no limit"),
    ("profile", "", LIST, "NAME", "Enable the services of a profile, * of all"),
    ("progress", "", TEXT, "auto|tty|plain|json|quiet", "How progress is shown"),
    ("project-directory", "", TEXT, "PATH", "Where relative paths count from (default: the first file's directory)"),
    ("project-name", "p", TEXT, "NAME", "Name of the project"),
    ("version", "v", FLAG, "", "Show the version"),
)

_CONFIG = (
    ("dry-run", "", FLAG, "", "Nothing is done anyway"),
    ("environment", "", FLAG, "", "Print the variables that interpolation sees"),
    ("format", "", TEXT, "yaml|json", "Form of the output"),
    ("hash", "", TEXT, "SERVICE,...|*", "Print the hash of services' configuration"),
    ("images", "", FLAG, "", "Print the images' names"),
    ("lock-image-digests", "", FLAG, "", "Print an override file that pins images by digest"),
    ("models", "", FLAG, "", "Print the models' names"),
    ("networks", "", FLAG, "", "Print the networks' names"),
    ("no-consistency", "", FLAG, "", "Do not check the model: what is printed may not be valid"),
    ("no-env-resolution", "", FLAG, "", "Do not read services' env files"),
    ("no-interpolate", "", FLAG, "", "Leave variables as they are"),
    ("no-normalize", "", FLAG, "", "Leave out what is implied"),
    ("no-path-resolution", "", FLAG, "", "Leave paths as they are"),
    ("output", "o", TEXT, "FILE", "Write to this file, not standard output"),
    ("profiles", "", FLAG, "", "Print the profiles' names"),
    ("quiet", "q", FLAG, "", "Only check the files"),
    ("resolve-image-digests", "", FLAG, "", "Pin images by digest"),
    ("services", "", FLAG, "", "Print the services' names"),
    ("variables", "", FLAG, "", "Print the files' variables and their defaults"),
    ("volumes", "", FLAG, "", "Print the volumes' names"),
)

_EXPORT = (
    ("dry-run", "", FLAG, "", "Show what would be done"),
    ("format", "", TEXT, "kubernetes", "Write the project as manifests, and list the keys they do not carry"),
    ("index", "", TEXT, "N", "Which container, if the service has several"),
    ("output", "o", TEXT, "FILE", "Write to this file, not standard output"),
)

COMPOSE_COMMANDS = {
    **RUNNING,
    "config": ("config", 0, None, False, "[SERVICE...]", "Print the files' merged, complete form", _CONFIG),
    "export": (
        "kubernetes",
        0,
        None,
        False,
        "[SERVICE...]",
        "Write a container's file system as a tar, or the project for another engine",
        _EXPORT,
    ),
    "convert": ("config", 0, None, False, "[SERVICE...]", "The same as config", _CONFIG),
}
