"""The list of rules that are taken out (``make mutants``) keeps up with the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.rules import Rule, read_rules

_TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", read_rules(), ids=lambda rule: rule.what)
def test_the_place_of_a_rule_is_there_once(rule: Rule) -> None:
    assert (_TOP / rule.file).read_text().count(rule.old) == 1
    assert rule.commands()
