"""`version` and `info`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.engine import Engine


def version(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show versions: of the command, and of what would serve the API (there is no server to be asked)."""
    from pyctr.api.router import NEWEST, OLDEST
    from pyctr.engine.system import version

    own = version(engine)
    newest, oldest = (".".join(map(str, number)) for number in (NEWEST, OLDEST))
    client = {key: own[key] for key in ("Platform", "Version", "Os", "Arch", "KernelVersion")}
    client |= {"PythonVersion": own["Components"][0]["Details"]["PythonVersion"], "ApiVersion": newest}
    server = {**own, "ApiVersion": newest, "MinAPIVersion": oldest}
    if _formatted(options, {"Client": client, "Server": server}):
        return 0
    where = f"{own['Os']}/{own['Arch']}"
    sys.stdout.write(
        f"Client: pyctr\n Version:           {own['Version']}\n API version:       {newest}\n"
        f" Python version:    {client['PythonVersion']}\n OS/Arch:           {where}\n\n"
        f"Server: pyctr\n Engine:\n  Version:          {own['Version']}\n"
        f"  API version:      {newest} (minimum version {oldest})\n  OS/Arch:          {where}\n"
    )
    return 0


def info(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show what this host offers and what is stored."""
    from pyctr.engine.system import info

    value = info(engine)
    if not _formatted(options, value):
        sys.stdout.write("".join(line + "\n" for line in render_info(value)))
        sys.stdout.flush()
        sys.stderr.write("".join(f"{warning}\n" for warning in value["Warnings"] or ()))
    return 0


def render_info(value: dict[str, Any]) -> Iterator[str]:
    """The lines of `docker info`, in its order."""
    from pyctr.cli.human import binary_size

    yield from (
        "Client: pyctr",
        f" Version:    {value['ServerVersion']}",
        f" Debug Mode: {_word(value['Debug'])}",
        "",
        "Server:",
    )
    yield f" Containers: {value['Containers']}"
    for state in ("Running", "Paused", "Stopped"):
        yield f"  {state}: {value['Containers' + state]}"
    yield f" Images: {value['Images']}"
    yield f" Server Version: {value['ServerVersion']}"
    yield f" Storage Driver: {value['Driver']}"
    yield from (f"  {name}: {text}" for name, text in value["DriverStatus"])
    for words, key in (
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    ):
        yield f" {words}: {value[key]}"
    yield " Plugins:"
    yield from (f"  {kind}: {' '.join(value['Plugins'][kind])}" for kind in ("Volume", "Network", "Log"))
    yield f" Swarm: {value['Swarm']['LocalNodeState']}"
    yield f" Runtimes: {' '.join(value['Runtimes'])}"
    for words, key in (("Default Runtime", "DefaultRuntime"), ("Init Binary", "InitBinary")):
        yield f" {words}: {value[key]}"
    yield " Security Options:"
    for option in value["SecurityOptions"]:
        fields = dict(field.split("=", 1) for field in option.split(","))
        yield f"  {fields.pop('name')}"
        yield from (f"   {name.capitalize()}: {text}" for name, text in fields.items())
    for words, key in (
        ("Kernel Version", "KernelVersion"), ("Operating System", "OperatingSystem"), ("OSType", "OSType"),
        ("Architecture", "Architecture"), ("CPUs", "NCPU"),
    ):  # fmt: skip
        yield f" {words}: {value[key]}"
    yield f" Total Memory: {binary_size(value['MemTotal'])}"
    for words, key in (("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir")):
        yield f" {words}: {value[key]}"
    yield f" Debug Mode: {_word(value['Debug'])}"
    registries = value["RegistryConfig"]
    insecure = [name for name, index in registries["IndexConfigs"].items() if not index["Secure"]]
    for words, names in (
        ("Insecure Registries", [*insecure, *registries["InsecureRegistryCIDRs"]]), ("Registry Mirrors", registries["Mirrors"]),
    ):  # fmt: skip
        yield from (f" {words}:", *(f"  {name}" for name in names)) if names else ()
    yield f" Live Restore Enabled: {_word(value['LiveRestoreEnabled'])}"
    yield ""


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _formatted(options: dict[str, Any], value: dict[str, Any]) -> bool:
    """Print by --format, if it was given."""
    template = options.get("format")
    if template is None:
        return False
    from pyctr.cli.format import compile_template

    sys.stdout.write(compile_template("{{json .}}" if template == "json" else template)(value) + "\n")
    return True
