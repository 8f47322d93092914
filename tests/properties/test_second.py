"""One second from random states, under every combination of rules and under decisions of arrays."""

from __future__ import annotations

import little_town
import rules
from hypothesis import given, settings
from little_town import Sketch, Town, sketches


@settings(max_examples=80, deadline=None)
@given(sketch=sketches())
def test_every_second_keeps_the_rules_of_the_network(town: Town, sketch: Sketch) -> None:
    second = little_town.make(town, sketch)
    after, kpis = second.serve()
    rules.check_all(second, after, kpis)
