"""What plays in Fig. 4, and what it learns on the first day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.optimise.sleep import rules
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.learned import looking_ahead, rehearse
from mndt.optimise.sleep.outlook import Outlook, learn
from mndt.optimise.sleep.problem import SEEN, Method, Setting, play
from mndt.optimise.sleep.scores import price_of, score
from mndt.users.demand.observed import Observed

Array = np.ndarray

LABELS: Final = {
    "original": "original: all on",
    "peng": "Peng et al., minimal",
    "peng_nested": "Peng et al., nested",
    "peng_margin": "Peng et al., larger margin",
    "greedy": "drop greedy",
    "per_slot": "exact minimum of each slot",
    "myopic": "myopic, tuned switching weight",
    "newsvendor": "newsvendor, linear forecast",
    "ours": "ours",
    "ours_careful": "ours, few unserved",
    "oracle": "oracle",
}
"""Method -> its name for readers."""

WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of switching costs, that day 1 chooses from."""
CAREFUL: Final = 0.0008
"""Share of the traffic of day 1 that the careful form leaves unserved at most."""


@dataclass(frozen=True)
class Trained:
    """One training on day 1."""

    near: Outlook  # of the next slot
    far: Outlook  # of several


def train(task: tuple[Float64[Array, "grids slots"], Array, int, int, bool]) -> Trained:
    """Outlooks from one day; a task is day, groups, slots a day, seed, quick."""
    day, group, per_day, seed, quick = task
    networks = 2 if quick else 6
    near = learn(day, group, per_day, networks=networks, seed=seed, horizon=1)
    return Trained(near, learn(day, group, per_day, networks=networks, epochs=20, seed=seed, horizon=4))


def build(
    fleet: Fleet, observed: Observed, setting: Setting, trained: list[Trained]
) -> Iterator[tuple[str, int, Method]]:
    """Name, number of the training, and method of everything that plays in a setting."""
    per_day = observed.slots_per_day
    day = observed.traffic[:, :per_day]
    yield "original", 0, rules.original(fleet)
    yield "peng", 0, rules.minimal(fleet)
    yield "greedy", 0, rules.dropping(fleet)
    yield "per_slot", 0, rules.myopic(fleet, setting, weight=0.0)
    yield "myopic", 0, rules.myopic(fleet, setting, weight=tuned_weight(fleet, day, setting))
    if setting.knows:
        yield "peng_nested", 0, rules.nested(fleet, day)
        for k, one in enumerate(trained):
            yield "ours", k, looking_ahead(fleet, one.far, seed=k)
        return
    price = price_of(fleet, day)
    yield "peng_nested", 0, rules.nested(fleet, day, margin=1.3)
    yield "peng_margin", 0, rules.minimal(fleet, margin=1.7)
    yield "newsvendor", 0, rules.weighing(fleet, setting, price, rules.Linear.fit(day, per_day).distribution)
    for k, one in enumerate(trained):
        rehearsal = rehearse(fleet, day, setting, one.near)
        yield "ours", k, rules.weighing(fleet, setting, rehearsal.best * price, one.near.distribution)
        careful = rehearsal.careful(CAREFUL) * price
        yield "ours_careful", k, rules.weighing(fleet, setting, careful, one.near.distribution)


def tuned_weight(fleet: Fleet, day: Float64[Array, "grids slots"], setting: Setting) -> float:
    """The weight of switching costs that was best on day 1."""
    per_day = day.shape[1]

    def cost(weight: float) -> float:
        method = rules.myopic(fleet, setting, weight=weight)
        outcome = play(fleet, day, setting, method, begin=SEEN, slots_per_day=per_day)
        return score(fleet, day, outcome, begin=SEEN, slots_per_day=per_day)["j10u"]

    return WEIGHTS[int(np.argmin([cost(weight) for weight in WEIGHTS]))]
