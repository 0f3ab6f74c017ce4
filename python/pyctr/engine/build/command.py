"""RUN as a container: environment, options, what needs consent."""

from __future__ import annotations

from pyctr.errors import BuildError, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.plan.step import Run
    from pyctr.build.request import Request
    from pyctr.engine import Engine
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.mounts import Mounted
    from pyctr.engine.build.sandbox import Command
    from pyctr.engine.build.values import Value

#: A build argument of BuildKit's that is none of the Dockerfile's.
_HOSTNAME_ARGUMENT = "BUILDKIT_SANDBOX_HOSTNAME"


def check_consent(request: Request, step: Run) -> None:
    """Refuse what the one who builds did not allow (BuildKit's entitlements)."""
    if step.security == "insecure" and "security.insecure" not in request.allow:
        raise BuildError("security.insecure is not allowed", hint="add --allow security.insecure")
    if step.network == "host" and request.network != "host" and "network.host" not in request.allow:
        raise BuildError("network.host is not allowed", hint="add --allow network.host")


def plan_command(executor: Executor, step: Run, base: Value, mounted: Mounted) -> Command:
    """What the container of a RUN is asked for."""
    from pyctr.engine.build.sandbox import Command
    from pyctr.engine.spec.environment import DEFAULT_PATH

    variables: dict[str, str] = {"PATH": DEFAULT_PATH}
    if not executor.keeps_times:
        # Compilers, Python, archivers and documentation tools write this instead of the clock.
        variables["SOURCE_DATE_EPOCH"] = f"SOURCE_DATE_EPOCH={base.epoch_s}"
    own = (*step.secret_environment, *step.environment, *mounted.environment, *mounted.secret_environment)
    for text in own:
        variables[text.partition("=")[0]] = text
    return Command(
        list(step.arguments),
        env=list(variables.values()),
        cwd=step.working_directory or "/",
        user=step.user,
        mounts=mounted.specs,
        has_secrets=bool(mounted.secret_environment),
        options=container_options(executor.request, step),
    )


def check_options(engine: Engine, request: Request) -> None:
    """Refuse what no container of RUN could be given, before anything is built, and where all is cached.

    Raises InvalidArgument, NotFound.
    """
    network = request.network
    if network.startswith("container:"):
        raise InvalidArgument(f'network mode "{network}" is not supported by build')
    if network not in ("default", "none", "host"):
        from pyctr.engine.containers.network import networks_of
        from pyctr.engine.containers.store import Store

        networks_of(Store(engine.root, engine.run_root)).resolve(network)
    options = _limits(request)
    if options:
        from pyctr.engine.host import gather
        from pyctr.engine.options import parse_request
        from pyctr.engine.options.limits import verify

        asked = parse_request("build", [], options).host_config
        verify(asked, gather(asked))


def container_options(request: Request, step: Run) -> dict[str, Any]:
    """Options of `run`, by Docker's names."""
    network = step.network if step.network != "default" else request.network or "default"
    options: dict[str, Any] = {"network": network, **_limits(request)}
    if request.add_hosts:
        options["add_host"] = [f"{name}:{address}" for name, address in request.add_hosts]
    if step.security == "insecure":
        options["privileged"] = True
    hostname = request.build_args.get(_HOSTNAME_ARGUMENT)
    if hostname and network != "host":
        options["hostname"] = hostname
    return options


def _limits(request: Request) -> dict[str, Any]:
    options: dict[str, Any] = dict(request.limits)
    if request.ulimits:
        options["ulimit"] = list(request.ulimits)
    if request.shm_size_bytes:
        options["shm_size"] = f"{request.shm_size_bytes}b"
    if request.cgroup_parent:
        options["cgroup_parent"] = request.cgroup_parent
    return options
