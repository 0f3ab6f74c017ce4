"""ARG before the first FROM, and the arguments that are always there."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.build.dockerfile.commands import Arg
    from pyctr.build.dockerfile.expand import Lexer

#: Arguments that need no ARG; nothing is remembered of them.
PROXIES = frozenset(("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"))


def platform_arguments(build_platform: str, target_platform: str, target_stage: str) -> dict[str, str]:
    """BUILDPLATFORM, TARGETARCH and their like."""
    values: dict[str, str] = {}
    for prefix, platform in (("BUILD", build_platform), ("TARGET", target_platform)):
        system, architecture, variant = (*platform.split("/"), "", "")[:3]
        values[f"{prefix}PLATFORM"] = platform
        values[f"{prefix}OS"] = system
        values[f"{prefix}OSVERSION"] = ""
        values[f"{prefix}ARCH"] = architecture
        values[f"{prefix}VARIANT"] = variant
    values["TARGETSTAGE"] = target_stage or "default"
    return values


def global_arguments(
    defaults: dict[str, str], arguments: list[Arg], build_args: Mapping[str, str], lexer: Lexer
) -> dict[str, str]:
    """What FROM sees: each ARG's build argument, else its default with those before it put in. Raises BuildError."""
    scope = {name: build_args.get(name, value) for name, value in defaults.items()}
    for command in arguments:
        for name, default in command.arguments:
            if name in build_args:
                scope[name] = build_args[name]
            elif default is not None:
                try:
                    scope[name] = lexer.expand(default, scope)
                except InvalidArgument as error:
                    raise command.source.error(str(error), offset=command.source.find(name)) from None
    return scope


def proxy_environment(build_args: Mapping[str, str]) -> tuple[str, ...]:
    """`http_proxy=…` and `HTTP_PROXY=…` for each proxy among the build arguments, in a fixed order."""
    given = {name.lower(): value for name, value in sorted(build_args.items()) if name.lower() in PROXIES and value}
    return tuple(f"{spelt}={value}" for name, value in sorted(given.items()) for spelt in (name, name.upper()))
