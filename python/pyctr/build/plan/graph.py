"""Stages to steps: which stages the target needs, what each is made of, the images that come out. Pure but for `resolve`."""

from __future__ import annotations

from pyctr.build.dockerfile import commands
from pyctr.build.dockerfile.expand import Lexer
from pyctr.build.dockerfile.parser import parse_dockerfile, parse_trigger
from pyctr.build.dockerfile.suggest import did_you_mean, nearest
from pyctr.build.lint.bases import check_bases
from pyctr.build.lint.rules import ARGUMENT, Finding, Linter
from pyctr.build.lint.source import check_source
from pyctr.build.plan.arguments import PROXIES, global_arguments, platform_arguments
from pyctr.build.plan.config import ImageConfig
from pyctr.build.plan.run import apply_run
from pyctr.build.plan.sources import named_context
from pyctr.build.plan.stage import Scope, StagePlan, apply_config, makes_layer
from pyctr.build.plan.step import Copy, CopyItem, ImageSource, LocalContext, Plan, Result, Scratch, Where
from pyctr.build.plan.transfer import apply_transfer
from pyctr.errors import BuildError, InvalidArgument, PyctrError
from pyctr.image.manifest import host_platform, parse_platform
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.build.dockerfile.lexer import Instruction
    from pyctr.build.plan.step import Step
    from pyctr.build.request import Request

    #: reference, platform → config digest, image config.
    Resolve = Callable[[str, str], tuple[str, dict[str, Any]]]


def plan_build(text: str, request: Request, resolve: Resolve) -> Plan:
    """What a build does. Raises BuildError with the Dockerfile's line; what `resolve` raises comes as BuildError too."""
    try:
        dockerfile = parse_dockerfile(text)
        native = "/".join(part for part in host_platform() if part)
        linter = _linter(dockerfile, request)
        check_source(linter, dockerfile)
        planners = [
            _Planner(
                dockerfile, request, resolve, native=native, platform=platform, explicit=bool(request.platforms),
                linter=linter if number == 0 else Linter("skip=all"),  # the same is not said for each platform
            )
            for number, platform in enumerate(request.platforms or (native,))
        ]  # fmt: skip
        results = tuple(planner.result() for planner in planners)
        findings = [*linter.findings, *_unused_arguments(dockerfile, request)]
        for finding in findings:
            if finding.first_line:
                finding.place = f"{request.dockerfile_name}:{finding.first_line}"
                finding.excerpt = excerpt(text, finding.first_line, finding.last_line)
        return Plan(results, findings=tuple(findings), refusal=linter.failure())
    except BuildError as error:
        raise located(error, text, request.dockerfile_name) from None


def _linter(dockerfile: commands.Dockerfile, request: Request) -> Linter:
    """By the build argument, else by the directive."""
    try:
        return Linter(request.build_args.get(ARGUMENT, dockerfile.source.directives.get("check", "")))
    except InvalidArgument as error:
        failure = BuildError(str(error), hint=error.hint)
        if ARGUMENT not in request.build_args:
            failure.line = dockerfile.source.directive_lines["check"]
        raise failure from None


def located(error: BuildError, text: str, name: str) -> BuildError:
    """The error with file, line and column in front of its message, and the lines around."""
    if error.line is None or error.excerpt:
        return error
    column = f":{error.column}" if error.column else ""
    new = BuildError(f"{name}:{error.line}{column}: {error}", hint=error.hint)
    new.line, new.last_line, new.column = error.line, error.last_line, error.column
    new.excerpt = excerpt(text, error.line, max(error.last_line or error.line, error.line))
    return new


def excerpt(text: str, first: int, last: int) -> str:
    """Lines with two before and two behind, numbered, those meant marked."""
    lines = text.split("\n")
    shown = range(max(first - 2, 1), min(last + 2, len(lines)) + 1)
    width = len(str(shown[-1])) if shown else 1
    return "\n".join(
        f"{number:>{width + 3}} | {'>>> ' if first <= number <= last else '    '}{lines[number - 1]}".rstrip()
        for number in shown
    )


def _unused_arguments(dockerfile: commands.Dockerfile, request: Request) -> list[Finding]:
    declared = {name for command in dockerfile.arguments for name, _ in command.arguments}
    for stage in dockerfile.stages:
        for command in stage.commands:
            if isinstance(command, commands.Arg):
                declared.update(name for name, _ in command.arguments)
    known = declared | set(platform_arguments("", "", "")) | {"SOURCE_DATE_EPOCH"}
    unused = sorted(
        name
        for name in request.build_args
        if name not in known and name.lower() not in PROXIES and not name.startswith("BUILDKIT_")
    )
    return [Finding("", f"One or more build-args [{' '.join(unused)}] were not consumed")] if unused else []


class _Planner:
    """The plan for one target platform."""

    def __init__(
        self,
        dockerfile: commands.Dockerfile,
        request: Request,
        resolve: Resolve,
        *,
        native: str,
        platform: str,
        explicit: bool,
        linter: Linter,
    ) -> None:
        self.stages = dockerfile.stages
        self.request = request
        self.resolve = resolve
        self.platform = platform
        self.explicit = explicit
        self.lexer = Lexer(dockerfile.source.escape)
        self.target = self._target()
        defaults = platform_arguments(native, platform, self.target.name)
        arguments = global_arguments(defaults, dockerfile.arguments, request.build_args, self.lexer)
        self.scope = Scope(
            request,
            arguments=arguments,
            escape=dockerfile.source.escape,
            target_platform=platform,
            many_platforms=len(request.platforms) > 1,
            find_source=self.find_source,
            linter=linter,
        )
        check_bases(
            linter, dockerfile, self.lexer, arguments, global_arguments(defaults, dockerfile.arguments, {}, self.lexer)
        )
        self.bases = [self._base_name(stage) for stage in self.stages]
        self.done: dict[int, StagePlan] = {}
        _check_cycles(self.stages, self.bases)

    def _target(self) -> commands.Stage:
        wanted = self.request.target
        if not wanted:
            return self.stages[-1]
        found = self._named(wanted, len(self.stages))
        if found is None and wanted.isascii() and wanted.isdigit() and int(wanted) < len(self.stages):
            found = self.stages[int(wanted)]
        if found is None:
            names = [stage.name for stage in self.stages if stage.name]
            raise BuildError(f'target stage "{wanted}" could not be found{did_you_mean(wanted, names)}')
        return found

    def _named(self, name: str, before: int) -> commands.Stage | None:
        """The last stage of that name among the first so many."""
        return next(
            (stage for stage in reversed(self.stages[:before]) if stage.name and stage.name == name.lower()), None
        )

    def _base_name(self, stage: commands.Stage) -> str:
        source = stage.source
        try:
            name = self.lexer.expand(stage.base, self.scope.arguments)
        except InvalidArgument as error:
            raise source.error(str(error), offset=source.find(stage.base)) from None
        if not name:
            variable = stage.base.strip("${}")
            advice = did_you_mean(variable, self.scope.arguments)
            hint = "ARG before the first FROM sets what FROM sees"
            raise source.error(
                f"base name ({stage.base}) should not be blank{advice}", offset=source.find(stage.base), hint=hint
            )
        return name

    def result(self) -> Result:
        """The image the target makes."""
        plan = self.stage(self.target)
        config = plan.config.finished(dict(self.request.labels))
        if self.explicit:
            system, architecture, variant = (*self.platform.split("/"), "", "")[:3]
            same = (config.get("os"), config.get("architecture")) == (system, architecture)
            config["os"], config["architecture"] = system, architecture
            if variant:
                config["variant"] = variant
            elif not same:
                config.pop("variant", None)
        return Result(
            plan.step,
            layers=tuple(plan.layers),
            config=config,
            platform=self.platform if self.explicit else plan.platform,
        )

    def stage(self, stage: commands.Stage) -> StagePlan:
        """A stage's plan, made when it is first asked for: stages nobody asks for are not built."""
        if stage.index not in self.done:
            shown = stage.name or f"stage-{stage.index}"
            plan = StagePlan(stage, self.scope, shown_name=shown if len(self.stages) > 1 else "")
            for command in [*self._begin(plan), *stage.commands]:
                self._apply(plan, command)
            self.done[stage.index] = plan
        return self.done[stage.index]

    def _apply(self, plan: StagePlan, command: commands.Command) -> None:
        plan.lint.muted = command.on_build
        plan.lint.check_command(command, has_shell=bool(plan.config.run.get("Shell")))
        if isinstance(command, commands.Run):
            apply_run(plan, command)
        elif isinstance(command, commands.Transfer):
            apply_transfer(plan, command)
        elif not apply_config(plan, command):
            raise command.source.error(f"{command.keyword} cannot be carried out")

    def _begin(self, plan: StagePlan) -> list[commands.Command]:
        """Set a stage on its base; the triggers that the base has for it."""
        stage, name = plan.stage, self.bases[plan.stage.index]
        below = self._named(name, stage.index)
        if below is not None:
            base = self.stage(below)
            plan.environment, plan.arguments = dict(base.environment), dict(base.arguments)
            plan.layers = list(base.layers)
            plan.lint.directory_is_set = base.lint.directory_is_set
            plan.begin(base.step, base.config.inherit(), base.platform)
            return self._triggers(plan, base.triggers)
        platform = self._stage_platform(stage)
        context = self.request.contexts.get(stage.name) or self.request.contexts.get(name)
        if context is None and name == "scratch":
            where = Where(
                plan.name, "FROM scratch", first_line=stage.source.first_line, last_line=stage.source.last_line
            )
            plan.begin(Scratch(where=where, platform=platform), ImageConfig.empty(platform), platform)
            return []
        if context is not None and not context.startswith("docker-image://"):
            self._begin_context(plan, stage.name if stage.name in self.request.contexts else name, platform)
            return []
        return self._begin_image(plan, context.removeprefix("docker-image://") if context else name, platform)

    def _begin_context(self, plan: StagePlan, name: str, platform: str) -> None:
        """FROM a named context: its files on nothing."""
        source = plan.stage.source
        where = Where(plan.name, f"FROM {name}", first_line=source.first_line, last_line=source.last_line)
        files = named_context(name, self.request.contexts[name], platform)
        copy = Copy(
            Scratch(where=where, platform=platform), (CopyItem(files, "/", wildcard=False, unpack=False),), destination="/",
            destination_is_directory=True, owner="", mode="", link=False, parents=False, exclude=(), where=where, platform=platform,
            ignore_cache=False,
        )  # fmt: skip
        config = ImageConfig.empty(platform)
        config.note(f"FROM {name}", layer=True)
        plan.begin(copy, config, platform)
        plan.layers.append(copy)

    def _begin_image(self, plan: StagePlan, name: str, platform: str) -> list[commands.Command]:
        source = plan.stage.source
        offset = source.find(plan.stage.base)
        try:
            reference = str(parse_reference(name))
            digest, image = self.resolve(reference, platform)
        except PyctrError as error:
            stages = [stage.name for stage in self.stages if stage.name and stage is not plan.stage]
            raise source.error(f"{error}{did_you_mean(name, stages)}", offset=offset, hint=error.hint) from None
        if not self.explicit and not plan.stage.platform:
            actual = "/".join(str(image[key]) for key in ("os", "architecture", "variant") if image.get(key))
            platform = actual if actual.count("/") else platform
        plan.platform = platform
        plan.total += 1
        config = ImageConfig.of_base(image)
        triggers = self._triggers(plan, config.run.pop("OnBuild", []))
        where = plan.where(source, f"FROM {reference}")
        plan.begin(ImageSource(reference, config_digest=digest, where=where, platform=platform), config, platform)
        return triggers

    def _triggers(self, plan: StagePlan, expressions: list[str]) -> list[commands.Command]:
        """ONBUILD of the base, as instructions of this stage."""
        parsed = [parse_trigger(text, plan.stage) for text in expressions]
        plan.total += sum(makes_layer(command) for command in parsed)
        return parsed

    def _stage_platform(self, stage: commands.Stage) -> str:
        if not stage.platform:
            return self.platform
        source = stage.source
        offset = next(flag.offset for flag in source.flags if flag.name == "platform")
        try:
            text = self.lexer.expand(stage.platform, self.scope.arguments)
            if not text:
                raise InvalidArgument(f"empty platform value from expression {stage.platform}")
            return "/".join(part for part in parse_platform(text) if part)
        except InvalidArgument as error:
            variable = stage.platform.strip("${}")
            raise source.error(f"{error}{did_you_mean(variable, self.scope.arguments)}", offset=offset) from None

    def find_source(self, name: str, source: Instruction, plan: StagePlan) -> Step:
        """`--from`, `from=`: a stage by name or number, a named context, or an image; "" is the build context."""
        if not name:
            where = Where("internal", "[internal] load build context", first_line=0, last_line=0)
            return LocalContext("context", where=where, platform="")
        offset = source.find(name) if name in source.text else 0
        if Lexer().expand(name, {}) != name:
            hint = "define a new stage with FROM using ARG from global scope"
            raise source.error("variable expansion is not supported for --from", offset=offset, hint=hint)
        found = self._named(name, len(self.stages))
        if name.isascii() and name.isdigit():
            if int(name) >= len(self.stages):
                raise source.error(f"invalid stage index {name}", offset=offset)
            found = self.stages[int(name)]
        if found is not None and found.index >= plan.stage.index:
            message = f'cannot copy from stage "{name}", it needs to be defined before current stage "{plan.name}"'
            raise source.error(message, offset=offset)
        if found is not None:
            return self.stage(found).step
        context = self.request.contexts.get(name)
        if context is not None and not context.startswith("docker-image://"):
            return named_context(name, context, self.platform)
        if name == "scratch":
            return Scratch(where=Where(plan.name, "scratch", first_line=0, last_line=0), platform=plan.platform)
        try:
            reference = str(parse_reference(context.removeprefix("docker-image://") if context else name))
        except InvalidArgument as error:
            raise source.error(str(error), offset=offset) from None
        where = Where(plan.name, f"FROM {reference}", first_line=source.first_line, last_line=source.last_line)
        near = nearest(name, [stage.name for stage in self.stages if stage.name]) or ""
        return ImageSource(reference, config_digest="", near=near, where=where, platform=plan.platform)


def _check_cycles(stages: list[commands.Stage], bases: list[str]) -> None:
    """A stage that needs itself, over however many others. Raises BuildError."""
    names = {stage.name: stage.index for stage in stages if stage.name}

    def needs(stage: commands.Stage) -> list[int]:
        below = names.get(bases[stage.index].lower(), len(stages))
        found = [below] if below < stage.index else []
        for command in stage.commands:
            for name in _origins(command):
                index = int(name) if name.isascii() and name.isdigit() else names.get(name.lower(), -1)
                found += [index] if 0 <= index < len(stages) else []
        return found

    graph = [needs(stage) for stage in stages]
    state = [0] * len(stages)  # 0 new, 1 on the way, 2 done

    def visit(index: int) -> None:
        state[index] = 1
        for other in graph[index]:
            if state[other] == 1:
                stage = stages[other]
                name = stage.name or f"stage-{other}"
                raise stage.source.error(f"circular dependency detected on stage: {name}")
            if state[other] == 0:
                visit(other)
        state[index] = 2

    for index in range(len(stages)):
        if state[index] == 0:
            visit(index)


def _origins(command: commands.Command) -> list[str]:
    """Names of stages that an instruction may read from."""
    if isinstance(command, commands.Transfer):
        return [command.from_] if command.from_ else []
    if isinstance(command, commands.Run):
        fields = [field for text in command.mounts for field in text.split(",")]
        return [field.partition("=")[2] for field in fields if field.lower().startswith("from=")]
    return []
