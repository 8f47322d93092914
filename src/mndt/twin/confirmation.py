"""Do the network's own KPIs confirm a change? By a time-out they have, or the answer is no.

Everything that is not a clear yes is a no: an observation that never comes, a KPI that is not there, a clock that runs
backwards or leaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mndt.errors import MndtError
from mndt.plants import EndedError, Observation, PhysicalNetwork, Turn, UnreachableError
from mndt.twin.plan import Confirmation

MISSES: Final = 5
"""Observations in a row that may be missing or out of order before the network counts as silent."""


class Watch:
    """Observations in the order of time; what comes late or again is passed over.

    Attributes:
        missed: observations that were missing, late or out of order.
    """

    def __init__(self, plant: PhysicalNetwork) -> None:
        self._plant = plant
        self._last_s = -math.inf
        self.missed = 0

    def next(self) -> Observation | None:
        """The next observation that is later than the last one; None where the network is silent."""
        for _ in range(MISSES):
            try:
                observation = self._plant.observe()
            except UnreachableError:
                self.missed += 1
                continue
            except EndedError:
                break
            if observation.end_s > self._last_s:
                self._last_s = observation.end_s
                return observation
            self.missed += 1
        return None

    def window(self, over_s: float) -> list[Observation]:
        """Observations until they span this long; fewer where the network falls silent."""
        found: list[Observation] = []
        while not found or found[-1].end_s - found[0].begin_s < over_s:
            observation = self.next()
            if observation is None:
                break
            found.append(observation)
        return found


@dataclass(frozen=True)
class Verdict:
    """What came of a confirmation."""

    confirmed: bool
    reason: str
    after: dict[str, float]
    seconds: float


def confirm(
    watch: Watch,
    confirmation: Confirmation,
    baseline: dict[str, float],
    turns: tuple[Turn, ...],
    switch: Callable[[], Sequence[str]],
) -> Verdict:
    """Watch until the KPIs agree, something is wrong, or time is up.

    Args:
        watch: the network's observations.
        confirmation: rules and time-out.
        baseline: KPIs before the change.
        turns: what must be in force all the time.
        switch: says whether the kill switch is thrown.
    """
    seen: list[Observation] = []
    after = dict.fromkeys(baseline, math.nan)
    reason = "the network fell silent"
    while (latest := watch.next()) is not None:
        began_s = seen[0].begin_s if seen else latest.begin_s
        spent_s = latest.end_s - began_s
        for sentence in (*_undone(latest, turns), *switch()):
            return Verdict(False, sentence, after, spent_s)
        if spent_s > confirmation.within_s + (latest.end_s - latest.begin_s):
            reason = "the network's clock leapt over the time-out"
            return Verdict(False, reason, after, spent_s)
        seen.append(latest)
        if spent_s >= confirmation.over_s:
            recent = [o for o in seen if o.end_s > latest.end_s - confirmation.over_s]
            after = means(recent, confirmation)
            broken = [r.kpi for r in confirmation.rules if not r.holds(baseline[r.kpi], after[r.kpi])]
            if not broken:
                return Verdict(True, "", after, spent_s)
            what = ", ".join(f"{name} went from {baseline[name]:.4g} to {after[name]:.4g}" for name in broken)
            reason = f"not confirmed within {confirmation.within_s:g} s: {what}"
        if spent_s >= confirmation.within_s:
            break
    return Verdict(False, reason, after, seen[-1].end_s - seen[0].begin_s if seen else 0.0)


def means(observations: Sequence[Observation], confirmation: Confirmation) -> dict[str, float]:
    """Each rule's KPI as a mean over time; NaN where more than half of the observations lack it."""
    return {rule.kpi: _mean(observations, rule.kpi) for rule in confirmation.rules}


def _mean(observations: Sequence[Observation], kpi: str) -> float:
    values = np.array([_value(observation, kpi) for observation in observations])
    weights = np.array([observation.end_s - observation.begin_s for observation in observations])
    known = np.isfinite(values) & (weights > 0)
    if not known.any() or known.sum() < len(values) / 2:
        return math.nan
    return float(np.average(values[known], weights=weights[known]))


def _value(observation: Observation, kpi: str) -> float:
    """Of the network; where only cells tell, their mean."""
    if kpi in observation.totals:
        return float(observation.totals[kpi])
    cells = np.asarray(observation.kpis.get(kpi, ()), np.float64)
    known = cells[np.isfinite(cells)]
    return float(known.mean()) if len(known) else math.nan


def _undone(observation: Observation, turns: Sequence[Turn]) -> list[str]:
    """What the network no longer reports as it was acknowledged."""
    configuration = observation.configuration
    if configuration is None:
        return ["the network does not report its configuration any more"]
    try:
        lost = [turn for turn in turns if not configuration.has(turn)]
    except MndtError as error:
        return [str(error)]
    return [f"{turn.cell} {turn.setting} was acknowledged and is not in force" for turn in lost]
