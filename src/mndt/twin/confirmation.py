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

    A clock that was set back shows as observations that follow each other and are all older than the last one; after
    `MISSES` of them the new time is believed. What tells of an older configuration than is known of is late,
    whatever its time.

    Attributes:
        missed: observations that were missing, late or out of order.
        set_back: how often the network's clock was.
    """

    def __init__(self, plant: PhysicalNetwork) -> None:
        self._plant = plant
        self._last_s, self._revision = -math.inf, -1
        self.missed, self.set_back = 0, 0

    def know(self, revision: int) -> None:
        """Somebody said that the network has this configuration by now."""
        self._revision = max(self._revision, revision)

    def next(self) -> Observation | None:
        """The next observation that is later than the last one; None where the network is silent."""
        old_s, in_a_row = -math.inf, 0
        for _ in range(MISSES):
            try:
                observation = self._plant.observe()
            except UnreachableError:
                self.missed += 1
                continue
            except EndedError:
                break
            if self._is_late(observation):
                self.missed += 1
                continue
            if observation.end_s > self._last_s:
                return self._take(observation)
            in_a_row = in_a_row + 1 if observation.end_s > old_s else 1
            old_s = observation.end_s
            self.missed += 1
            if in_a_row == MISSES:
                self.set_back += 1
                return self._take(observation)
        return None

    def _is_late(self, observation: Observation) -> bool:
        configuration = observation.configuration
        return configuration is not None and configuration.revision < self._revision

    def _take(self, observation: Observation) -> Observation:
        self._last_s = observation.end_s
        if observation.configuration is not None:
            self.know(observation.configuration.revision)
        return observation

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
    set_back = watch.set_back
    after = dict.fromkeys(baseline, math.nan)
    reason = "the network fell silent"
    while (latest := watch.next()) is not None:
        began_s = seen[0].begin_s if seen else latest.begin_s
        spent_s = latest.end_s - began_s
        for sentence in (*_undone(latest, turns), *switch()):
            return Verdict(False, sentence, after, spent_s)
        if watch.set_back > set_back:
            return Verdict(False, "the network's clock was set back", after, spent_s)
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
