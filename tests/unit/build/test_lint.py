"""BuildKit's build checks: what each finds, where, in which words; skip, error, experimental."""

from __future__ import annotations

from typing import Any

import pytest

from pyctr.build.lint.rules import DESCRIPTIONS, Finding
from pyctr.errors import BuildError
from tests.unit.build.test_plan import plan

_BASE = "FROM x\n"


def found(text: str, **values: Any) -> list[str]:
    """As the end of a build shows them."""
    return [str(finding) for finding in plan(text, **values).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM x AS Base\n", "StageNameCasing: Stage name 'Base' should be lowercase (line 1)"),
        ("FROM x as base\n", "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"),
        ("from x AS base\n", "FromAsCasing: 'AS' and 'from' keywords' casing do not match (line 1)"),
        (_BASE + "RUN a \\\n\n  b\n", "NoEmptyContinuation: Empty continuation line (line 4)"),
        (
            _BASE + "Run a\nRUN b\n",
            "ConsistentInstructionCasing: Command 'Run' should match the case of the command majority (uppercase) (line 2)",
        ),
        (
            "from x\nRUN a\nrun b\n",
            "ConsistentInstructionCasing: Command 'RUN' should match the case of the command majority (lowercase) (line 2)",
        ),
        (
            "FROM x AS a\nFROM y AS a\n",
            'DuplicateStageName: Duplicate stage name "a", stage names should be unique (line 2)',
        ),
        (
            "FROM x AS scratch\n",
            'ReservedStageName: Stage name should not use the same name as reserved stage "scratch" (line 1)',
        ),
        (
            _BASE + "ENTRYPOINT a\n",
            "JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 2)",
        ),
        (
            _BASE + "MAINTAINER me\n",
            "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
        ),
        ("ARG TAG=1\nFROM x:1${TGA}\n", "UndefinedArgInFrom: FROM argument 'TGA' is not declared (did you mean TAG?) (line 2)"),
        (
            _BASE + "WORKDIR a\nWORKDIR b\n",
            'WorkdirRelativePath: Relative workdir "a" can have unexpected results if the base image changes (line 2)',
        ),
        (_BASE + "COPY $src .\nARG src=a\n", "UndefinedVar: Usage of undefined variable '$src' (line 2)"),
        (
            _BASE + "ENV PATH=$PAHT:/x\n",
            "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)",
        ),
        (
            _BASE + "RUN --mount=type=bind,target=/a$where true\n",
            "UndefinedVar: Usage of undefined variable '$where' (line 2)",
        ),
        (
            _BASE + 'CMD ["a"]\nCMD ["b"]\n',
            ("MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be"
            " used (line 2)"),
        ),
        (
            _BASE + "LABEL a b\n",
            'LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format (line 2)',
        ),
        (
            "FROM --platform=${TARGETPLATFORM} x\n",
            ("RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior"
            " (line 1)"),
        ),
        (
            _BASE + "ARG GITHUB_TOKEN\n",
            'SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "GITHUB_TOKEN") (line 2)',
        ),
        (
            "FROM --platform=linux/arm64 x AS one\n",
            'FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/arm64" (line 1)',
        ),
        (
            "# check=experimental=all\n# other words\nARG a=1\nFROM x\n",
            "InvalidDefinitionDescription: Comment for ARG should follow the format: `# a <description>` (line 3)",
        ),
        (
            _BASE + "EXPOSE 80/TCP\n",
            "ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 2)",
        ),
        (
            _BASE + "EXPOSE 127.0.0.1:80:80\n",
            "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80' (line 2)",
        ),
    ],
)  # fmt: skip
def test_check_finds_its_case_alone(text: str, expected: str) -> None:
    assert found(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "from x as base\nrun a \\\n  # comment\n  b\n",
        'FROM x AS a\nSHELL ["/bin/ash", "-c"]\nCMD a\n',
        "ARG TAG\nFROM x:1$TAG\nARG TAG\nARG unset\nRUN a\nLABEL a=$TAG$unset${other:-b}${another:+c}\n",
        "FROM x AS a\nWORKDIR /a\nWORKDIR b\nFROM a\nWORKDIR c\n",
        "FROM x AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n",
        "FROM --platform=$BUILDPLATFORM x\nEXPOSE 80/udp 90-92\nENV PUBLIC_KEY=a KEYBOARD=b\n",
        "FROM --platform=linux/arm64 x AS tools-arm64\n",
        "# syntax=docker/dockerfile:1\n# words\nARG a=1\nFROM x\n",
        "FROM x:trigger\n",
    ],
)  # fmt: skip
def test_check_finds_nothing_where_all_is_well(text: str) -> None:
    assert found(text) == []


def test_default_that_makes_no_image_name_is_found_though_the_build_argument_makes_one() -> None:
    text = "ARG name\nFROM $name\n"
    expected = (
        "InvalidDefaultArgInFrom: Default value for ARG $name results in empty or invalid base image name (line 2)"
    )
    assert found(text, build_args={"name": "x"}) == [expected]


def test_ignored_file_is_found_unless_something_below_is_taken_back() -> None:
    text = _BASE + "ADD a/b /\nCOPY . /\nCOPY --from=y a /\nCOPY keep/it /\n"
    expected = 'CopyIgnoredFile: Attempting to Add file "a/b" that is excluded by .dockerignore (line 2)'
    assert found(text, ignore=("*", "!keep/it")) == [expected]


def test_platforms_say_it_once_and_stages_not_built_only_what_is_in_the_file() -> None:
    text = "FROM x AS a\nMAINTAINER me\nCMD a\nFROM x AS b\nCMD b\n"
    both = ("linux/amd64", "linux/arm64")
    rules = [finding.rule for finding in plan(text, platforms=both).findings]
    assert rules == ["MaintainerDeprecated", "JSONArgsRecommended"]


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ("skip=JSONArgsRecommended", ["MaintainerDeprecated"]),
        ("skip=JSONArgsRecommended, MaintainerDeprecated", []),
        ("skip=all;error=true", []),
        ("error=false", ["MaintainerDeprecated", "JSONArgsRecommended"]),
    ],
)
def test_directive_skips_and_the_build_argument_stands_before_it(options: str, rules: list[str]) -> None:
    text = _BASE + "MAINTAINER me\nCMD a\n"
    assert [finding.rule for finding in plan(f"# check={options}\n{text}").findings] == rules
    told = plan(f"# check=skip=all\n{text}", build_args={"BUILDKIT_DOCKERFILE_CHECK": options})
    assert [finding.rule for finding in told.findings] == rules
    assert told.refusal == ""


def test_error_refuses_the_build_naming_the_rules() -> None:
    refused = plan("# check=error=true\n" + _BASE + "CMD a\nMAINTAINER me\n")
    assert refused.refusal == "lint violation found for rules: JSONArgsRecommended, MaintainerDeprecated"


def test_unknown_option_is_refused_at_its_line() -> None:
    with pytest.raises(BuildError, match=r'^Dockerfile:2: invalid check option "skp=all"$'):
        plan("# syntax=docker/dockerfile:1\n# check=skp=all\n" + _BASE)


def test_finding_shows_its_lines_and_where_its_rule_is_explained() -> None:
    finding = plan(_BASE + "CMD a \\\n  b\n").findings[0]
    assert finding.place == "Dockerfile:2"
    assert ">>> CMD a" in finding.excerpt
    assert ">>>   b" in finding.excerpt
    assert finding.url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert all(
        Finding(rule, "").url.removesuffix("/").rpartition("/")[2].replace("-", "") == rule.lower()
        for rule in DESCRIPTIONS
    )
