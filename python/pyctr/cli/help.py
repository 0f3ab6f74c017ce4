"""`--help` in the form of Docker's client, drawn from the table. Never imported by a command that just runs."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

from pyctr.cli.table import ALIASES, COMMANDS, FLAG, GLOBAL, GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Option = tuple[str, str, str, str, str]

#: Shown first, as what most people look for.
COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
_ABOUT = {
    "builder": "Manage builds",
    "buildx": "Manage builds, by buildx's names",
    "container": "Manage containers",
    "image": "Manage images",
    "manifest": "Manage image manifests",
    "network": "Manage networks",
    "system": "Manage pyctr",
    "volume": "Manage volumes",
}
_NARROWEST = 60
_WIDEST = 100


def show(command: tuple[str, ...]) -> int:
    """Print the help of a command, a group of commands, or of everything; 1 where there is no such command."""
    if command[:1] == ("compose",):
        from pyctr.cli.compose_help import show as show_compose

        return show_compose(list(command[1:]), sys.stdout)
    name = " ".join(command)
    if not command:
        text = render_all()
    elif name in COMMANDS or name in ALIASES:
        text = render_command(name)
    elif name in GROUPS:
        text = render_group(name)
    else:
        sys.stderr.write(f"unknown help topic: {name}\n")
        return 1
    sys.stdout.write(text)
    return 0


def usage(name: str) -> str:
    """The line that shows how a command is called."""
    entry = COMMANDS[ALIASES.get(name, name)]
    return f"Usage:  pyctr {name}" + (" [OPTIONS]" if entry[6] else "") + (f" {entry[4]}" if entry[4] else "")


def render_command(name: str) -> str:
    """Usage, what it does, its other names, options, examples."""
    from pyctr.cli.examples import EXAMPLES

    own = ALIASES.get(name, name)
    entry = COMMANDS[own]
    parts = [usage(name), entry[5]]
    others = [other for other in (own, *ALIASES) if other == own or ALIASES.get(other) == own]
    if len(others) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"pyctr {other}" for other in sorted(others)))
    if own in EXAMPLES:
        parts.append("Examples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[own]))
    if entry[6]:
        parts.append("Options:\n" + render_options(entry[6]))
    return "\n\n".join(parts) + "\n"


def render_options(options: Iterable[Option]) -> str:
    """A line an option, by name; what they do in a column of its own."""
    rows = []
    for long, short, kind, metavar, text in sorted(options):
        name = f"{f'-{short},' if short else '   '} --{long}"
        rows.append((name if kind == FLAG else f"{name} {metavar}", text))
    return columns(rows)


def columns(rows: list[tuple[str, str]]) -> str:
    """Two columns, the second wrapped at the terminal's width; a first too wide has its second below."""
    width = min(max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST), _WIDEST)
    first = min(max((len(left) for left, _ in rows), default=0), width // 2)
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, width - first - 5, break_on_hyphens=False) or [""]
        if len(left) > first:
            lines.append(f"  {left}")
            left = ""  # noqa: PLW2901
        lines.append(f"  {left.ljust(first)}   {wrapped[0]}".rstrip())
        lines += [f"{' ' * (first + 5)}{line}" for line in wrapped[1:]]
    return "\n".join(lines)


def render_group(group: str) -> str:
    """The commands of a group."""
    names = [name for name in (*COMMANDS, *ALIASES) if name.startswith(group + " ")]
    preferred: dict[str, str] = {}  # of several names of one command the first
    for name in names:
        preferred.setdefault(ALIASES.get(name, name), name)
    rows = {name.partition(" ")[2]: COMMANDS[own][5] for own, name in preferred.items()}
    return (
        f"Usage:  pyctr {group} COMMAND\n\n{_ABOUT[group]}\n\nCommands:\n{columns(sorted(rows.items()))}\n\n"
        f"Run 'pyctr {group} COMMAND --help' for more information on a command.\n"
    )


def render_all() -> str:
    """Every command, the common ones first."""
    top = {name: COMMANDS[name][5] for name in COMMANDS if " " not in name}
    sections = [
        ("Common Commands", [(name, top[name]) for name in COMMON if name in top]),
        ("Management Commands", [(name, _ABOUT[name]) for name in sorted(GROUPS)]),
        ("Commands", sorted((name, text) for name, text in top.items() if name not in COMMON)),
    ]
    text = "Usage:  pyctr [OPTIONS] COMMAND\n\nDocker without a daemon\n\n"
    text += "".join(f"{title}:\n{columns(rows)}\n\n" for title, rows in sections)
    return (
        text
        + f"Global Options:\n{render_options(GLOBAL)}\n\nRun 'pyctr COMMAND --help' for more information on a command.\n"
    )


def render_compose(name: str, entry: Any, examples: list[str]) -> str:
    """Help of a compose command."""
    use = f"Usage:  pyctr compose {name}" + (" [OPTIONS]" if entry[6] else "") + (f" {entry[4]}" if entry[4] else "")
    parts = [use, entry[5]]
    if examples:
        parts.append("Examples:\n" + "\n".join(f"  {line}" for line in examples))
    if entry[6]:
        parts.append("Options:\n" + render_options(entry[6]))
    return "\n\n".join(parts) + "\n"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word most like another, if any is; a prefix of one word alone is that word."""
    import difflib

    known = list(dict.fromkeys(words))
    longer = [candidate for candidate in known if len(word) > 2 and candidate.startswith(word)]
    if len(longer) == 1:
        return longer[0]
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return found[0] if found else None


def complain_usage(name: str, message: str) -> int:
    """What is wrong with a command line, in Docker's form: the message, how it is called, where to read; the exit code."""
    flag = message.partition("unknown flag: --")[2]
    entry = COMMANDS.get(ALIASES.get(name, name))
    near = nearest(flag, [option[0] for option in (entry[6] if entry else GLOBAL)]) if flag else None
    count = message.startswith("'pyctr ")
    lines = [f"pyctr: {message}" if count else message]
    if near:
        lines.append(f"Did you mean --{near}?")
    shown = usage(name) if entry else f"Usage:  pyctr {name or '[OPTIONS] COMMAND [ARG...]'}"
    see = "See" if "requires at least" in message and "at most" not in message else "Run"
    lines += ["", shown, "", f"{see} 'pyctr {f'{name} ' if name else ''}--help' for more information"]
    return _say(lines, 1 if count else 125)


def no_command(words: list[str]) -> int:
    """A command line that names a group alone, or what is no command: help, or what is wrong; the exit code."""
    from pyctr.cli.absent import ABSENT, find_absent
    from pyctr.cli.parse import HelpAsked, UsageError, parse

    group = words[0] if words[0] in GROUPS else ""
    if group and words[1:2] != [] and words[1].startswith("-"):
        try:
            parse((), words[1:], stop_at_argument=True)
        except HelpAsked:
            return show((group,))
        except UsageError as error:
            return complain_usage(group, str(error))
    if group and len(words) == 1:
        sys.stderr.write(render_group(group))
        return 0
    absent = find_absent(words)
    if absent:
        return _say([f"pyctr: 'pyctr {absent}' is not supported: {ABSENT[absent]}"], 1)
    return complain_unknown(words, group)


def complain_unknown(words: list[str], group: str) -> int:
    """There is no such command; the nearest there is."""
    known = [name for name in (*COMMANDS, *ALIASES) if name.startswith(group + " ")] if group else list(COMMANDS)
    if group:
        near = nearest(words[1], [name.partition(" ")[2] for name in known])
    else:
        near = nearest(words[0], [name for name in known if " " not in name] + list(GROUPS))
    lines = [f"pyctr: unknown command: pyctr {' '.join(words[:2]) if group else words[0]}"]
    if near:
        lines.append(f"Did you mean 'pyctr {f'{group} {near}' if group else near}'?")
    lines += ["", *([f"Usage:  pyctr {group}", ""] if group else [])]
    return _say([*lines, f"Run 'pyctr {f'{group} ' if group else ''}--help' for more information"], 1)


def _say(lines: list[str], code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write("\n".join(lines) + "\n")
    return code


def hint_for(root: str, run_root: str, message: str) -> str | None:
    """Of a name that is not there, the nearest that is: a message ``No such container: wbe`` and its kin."""
    from pyctr.cli import names

    for words, find in (
        ("No such container: ", names.containers),
        ("No such image: ", names.images),
        ("No such object: ", lambda root, run_root: names.containers(root, run_root) + names.images(root, run_root)),
        (": no such volume", names.volumes),
        (" not found", names.networks),
    ):
        before, found, after = message.partition(words)
        if found:
            asked = after or before.rpartition(" ")[2]
            near = nearest(asked.removesuffix(":latest"), find(os.path.abspath(root), run_root))
            return f"Did you mean {near}?" if near and near != asked else None
    return None
