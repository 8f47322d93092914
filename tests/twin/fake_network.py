"""A network of three cells in memory that can be told to misbehave."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from mndt.plants import Acknowledgement, Change, Configuration, Observation, UnreachableError

CELLS = ("a", "b", "c")
PERIOD_S = 10.0


class FakeNetwork:
    """Obeys revisions and repeated requests as `PhysicalNetwork` asks for; outage rises as power falls.

    Attributes:
        faults: what becomes of the next requests: "" all is well, "lost" never arrives, "mute" is carried out but not
            answered, "late" is not answered and arrives after the next request, "refused", "wrong name".
    """

    def __init__(self) -> None:
        self.power_dbm = np.full(3, 30.0)
        self.tilt_deg = np.full(3, 4.0)
        self.revision = 0
        self.now_s = 36_000.0
        self.faults: deque[str] = deque()
        self.late: list[Change] = []
        self.done: dict[str, int] = {}  # request -> revision it made
        self.carried_out: list[str] = []
        self.silent = False
        self.stuck = False  # acknowledges and does nothing
        self.leap_s = 0.0
        self.unmeasured: tuple[str, ...] = ()

    def observe(self) -> Observation:
        if self.silent:
            raise UnreachableError("nothing came")
        begin_s = self.now_s + self.leap_s
        self.now_s = begin_s + PERIOD_S
        outage = float(np.clip(0.05 + 0.02 * (30.0 - self.power_dbm).mean(), 0.0, 1.0))
        totals = {"X.OutageRatio": outage, "X.ThroughputDl": 1e9 * (1.0 - outage)}
        for name in self.unmeasured:
            del totals[name]
        return Observation(begin_s, self.now_s, self.now_s, CELLS, {}, totals, configuration=self.configuration)

    @property
    def configuration(self) -> Configuration:
        values = {"power_dbm": self.power_dbm.copy(), "electrical_tilt_deg": self.tilt_deg.copy()}
        return Configuration(self.revision, self.now_s, CELLS, values)

    def apply(self, change: Change) -> Acknowledgement:
        fault = self.faults.popleft() if self.faults else ""
        if fault == "lost":
            raise UnreachableError("lost")
        if fault == "late":
            self.late.append(change)
            raise UnreachableError("late")
        if fault == "refused":
            return Acknowledgement(change.request, False, self.revision, "not today")
        answer = self._carry_out(change)
        for late in self.late:
            self._carry_out(late)
        self.late.clear()
        if fault == "mute":
            raise UnreachableError("mute")
        if fault == "wrong name":
            return Acknowledgement("another", answer.accepted, answer.revision)
        return answer

    def _carry_out(self, change: Change) -> Acknowledgement:
        if change.request in self.done:
            return Acknowledgement(change.request, True, self.done[change.request], repeated=True)
        if change.revision is not None and change.revision != self.revision:
            return Acknowledgement(change.request, False, self.revision, "another revision")
        self.carried_out.append(change.request)
        if not self.stuck:
            for turn in change.turns:
                array = self.power_dbm if turn.setting == "power_dbm" else self.tilt_deg
                array[CELLS.index(turn.cell)] = turn.value
        self.revision += 1
        self.done[change.request] = self.revision
        return Acknowledgement(change.request, True, self.revision)


def settings_of(network: FakeNetwork) -> tuple[float, ...]:
    """Powers and tilts."""
    return (*network.power_dbm.tolist(), *network.tilt_deg.tolist())


def misbehave(network: FakeNetwork, faults: Iterable[str]) -> FakeNetwork:
    """The same network, with what is to go wrong next."""
    network.faults.extend(faults)
    return network
