"""A typer application made from the table: `--help` and shell completion. Never imported by a command that just runs."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from pyctr.cli.table import ALIASES, COMMANDS, FLAG, GLOBAL, GROUPS, LIST

_EXAMPLES = {
    "run": "Examples:\n\n  pyctr run --rm hello\n\n  pyctr run --rm -it busybox sh\n\n  pyctr run -d --name web -m 256m busybox httpd -f",
    "image bootstrap": "Examples:\n\n  pyctr image bootstrap busybox\n\n  pyctr image bootstrap debian:bookworm --include curl",
    "ps": "Example:\n\n  pyctr ps -a --format '{{.Names}}: {{.Status}}'",
}  # fmt: skip


def build() -> typer.Typer:
    """The whole application."""
    app = typer.Typer(
        name="pyctr", help="Docker without a daemon.", add_completion=False, no_args_is_help=True, rich_markup_mode=None
    )
    app.callback()(_function("callback", GLOBAL, "", _nothing))
    groups = {
        name: typer.Typer(help=f"Manage {name}s." if name != "system" else "Manage pyctr.", no_args_is_help=True)
        for name in GROUPS
    }
    for name, typer_group in groups.items():
        app.add_typer(typer_group, name=name)
    for name in [*COMMANDS, *ALIASES]:
        command = COMMANDS[ALIASES.get(name, name)]
        group, _, verb = name.rpartition(" ")
        target = groups[group] if group else app
        text = command[5] + ".\n\n" + _EXAMPLES.get(ALIASES.get(name, name), "")
        target.command(verb, help=text)(_function(verb, command[6], command[4], _nothing))
    return app


def _nothing(**_: Any) -> None:
    """Help is all that is asked of the application; commands run by `pyctr.cli.main`."""


def _function(name: str, options: Any, arguments: str, body: Any) -> Any:
    """A function with one parameter an option, as typer wants to see it."""
    parameters = []
    if arguments:
        annotation: Any = Annotated[list[str] | None, typer.Argument(metavar=arguments, show_default=False)]
        parameters.append(
            inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    parameters.extend(_parameter(option) for option in options)

    def function(**values: Any) -> None:
        body(**values)

    function.__name__ = name
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _parameter(option: tuple[str, str, str, str, str]) -> inspect.Parameter:
    long, short, kind, metavar, text = option
    names = [f"--{long}", *([f"-{short}"] if short else [])]
    kinds: dict[str, Any] = {FLAG: bool | None, LIST: list[str] | None}
    extra: dict[str, Any] = {} if kind == FLAG else {"metavar": metavar}
    info = typer.Option(*names, help=text, show_default=False, **extra)
    annotation: Any = Annotated[kinds.get(kind, str | None), info]
    name = long.replace("-", "_")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def show(command: tuple[str, ...]) -> int:
    """Print the help of a command, or of everything."""
    if command[:1] == ("compose",):
        import sys

        from pyctr.cli.compose_help import show as show_compose

        return show_compose(list(command[1:]), sys.stdout)
    try:
        build()([*command, "--help"], standalone_mode=False, prog_name="pyctr")
    except Exception as error:
        if type(error).__name__ in ("UsageError", "NoSuchCommand"):
            import sys

            sys.stderr.write(f"pyctr: '{' '.join(command)}' is not a pyctr command.\n")
            return 1
        raise
    return 0
