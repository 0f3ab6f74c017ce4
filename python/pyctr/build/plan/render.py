"""A plan as text, for `build --dry-run`: a line a step with what it stands on, then the image configs."""

from __future__ import annotations

from pyctr._core import json_dumps
from pyctr.build.plan.step import (
    Copy,
    GitSource,
    HttpSource,
    ImageSource,
    InlineFiles,
    LocalContext,
    MakeDirectory,
    Run,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.build.plan.step import Plan, Step


def render_plan(plan: Plan) -> str:
    """Steps numbered in an order they can be carried out in; those that name each other's numbers depend on them."""
    numbers = {step.key: index + 1 for index, step in enumerate(plan.steps)}
    lines = []
    for step in plan.steps:
        below = ",".join(f"#{numbers[other.key]}" for other in step.inputs)
        place = f"  line {step.where.first_line}" if step.where.first_line else ""
        lines.append(f"#{numbers[step.key]} {step.kind} {step.key[7:19]}{f' <- {below}' if below else ''}{place}\n")
        lines += [f"    {line}\n" for line in _details(step)]
    for result in plan.results:
        lines.append(f"image {result.platform} = #{numbers[result.step.key]}\n")
        text = json_dumps(result.config, indent=2).decode()
        lines += [f"    {line}\n" for line in text.split("\n")]
    return "".join(lines) + "".join(f"warning: {advice}\n" for advice in plan.findings)


def _details(step: Step) -> list[str]:
    match step:
        case ImageSource():
            return [f"{step.reference} {step.platform} {step.config_digest}".rstrip()]
        case LocalContext():
            return [step.name]
        case HttpSource():
            return [f"{step.url} {step.checksum}".rstrip()]
        case GitSource():
            return [f"{step.remote}#{step.reference}:{step.subdirectory}".rstrip(":#")]
        case InlineFiles():
            return [f"{name}: {len(content)} characters" for name, content in step.files]
        case MakeDirectory():
            return [f"{step.path}{f' owner {step.owner}' if step.owner else ''}"]
        case Run():
            return _run(step)
        case Copy():
            return _copy(step)
        case _:
            return []


def _run(step: Run) -> list[str]:
    lines = [" ".join(_shown(word) for word in step.arguments)]
    lines.append(f"in {step.working_directory}, user {step.user or 'root'}, network {step.network}")
    lines += [
        f"mount {mount.kind} {mount.target or mount.environment} {mount.identity}".rstrip() for mount in step.mounts
    ]
    return lines


def _copy(step: Copy) -> list[str]:
    sources = " ".join(item.written for item in step.items)
    options = [f"--{name}={value}" for name, value in (("chown", step.owner), ("chmod", step.mode)) if value]
    options += [f"--exclude={pattern}" for pattern in step.exclude]
    options += ["--link"] if step.link else []
    options += ["--parents"] if step.parents else []
    destination = step.destination + ("/" if step.destination_is_directory and step.destination != "/" else "")
    return [" ".join([*options, sources, "->", destination])]


def _shown(word: str) -> str:
    return word if word and word.isprintable() and " " not in word else repr(word)
