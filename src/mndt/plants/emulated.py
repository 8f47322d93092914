"""The emulated network: this package's own simulator with parameters that the twin does not know.

`Hidden` bends what the twin would compute (the same structure, other constants), `foreign` replaces the laws
themselves: path loss, fading and traffic follow others, so that nothing the twin can be set to is the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mndt.engine import step
from mndt.errors import InputError
from mndt.network import kpi
from mndt.plants import Acknowledgement, Change, Configuration, Observation, UserSamples, check_turn, reported, turned
from mndt.plants.hidden import Hidden, impose
from mndt.state import Action, CellSettings, Kpis, NetworkState
from mndt.streams import Streams
from mndt.units import linear_to_db, w_to_dbm
from mndt.world import World, as_built, start

Array = np.ndarray

Decide = Callable[[NetworkState], Action]
"""Who connects users and gives them blocks and power inside the network: a policy."""

REMEMBERED = 1000
"""Requests whose answers the network keeps, so that one sent again is not carried out again."""


def _fundamentals(state: NetworkState) -> Action:
    return Action()


@dataclass(frozen=True)
class Memory:
    """All that an emulated network must keep to go on after a stop."""

    state: NetworkState
    settings: CellSettings  # as asked for; antennas may point elsewhere
    revision: int
    answered: tuple[str, ...]  # requests carried out, the latest last


class EmulatedPlant:
    """A network in this process.

    Args:
        world: the twin's own world, or one of other laws (`mndt.plants.foreign.foreign`).
        hidden: how the network differs from it.
        period_s: seconds that one observation covers.
        decide: who gives blocks and power; by default the network's fundamentals.
        seed: of movement, demand and fading.
        memory: where it was stopped; None begins anew.
        time_s: when it begins, in seconds since midnight.

    Ten seconds, then half the power::

        plant = EmulatedPlant(world, Hidden(noise_rise_db=2.0), period_s=10)
        print(plant.observe().totals["X.ThroughputDl"])
        plant.apply(Change("first", (Turn("mast-1", "power_dbm", 27.0),)))
    """

    def __init__(
        self,
        world: World,
        hidden: Hidden | None = None,
        *,
        period_s: int = 1,
        decide: Decide | None = None,
        seed: int = 0,
        memory: Memory | None = None,
        time_s: int = 8 * 3600,
    ) -> None:
        if period_s < 1:
            raise InputError("period_s", period_s, allowed="1 s or more", fix="a step of the engine is one second")
        self._hidden = hidden or Hidden()
        self._world = impose(world, self._hidden)
        self._streams = Streams(seed)
        self._period_s, self._decide = period_s, decide or _fundamentals
        self.cell: tuple[str, ...] = world.city.cells.name
        self.memory = memory or Memory(start(self._world, time_s=time_s, seed=seed), as_built(world.city), 0, ())

    @property
    def now_s(self) -> float:
        """The network's clock, in seconds since the scenario's midnight."""
        return float(self.memory.state.time_s)

    def configuration(self) -> Configuration:
        """What the cells are set to, as far as the network itself knows."""
        return reported(self.memory.settings, self.cell, self.memory.revision, self.now_s)

    def observe(self) -> Observation:
        """Let one period pass and say what was measured in it."""
        begin_s, measured = self.now_s, []
        state, settings = self.memory.state, self._hidden.aimed(self.memory.settings)
        for _ in range(self._period_s):
            state, kpis = step(self._world, state, replace(self._decide(state), settings=settings), self._streams)
            measured.append(kpis)
        self.memory = replace(self.memory, state=state)
        cells, totals = _over(measured)
        return Observation(
            begin_s=begin_s,
            end_s=self.now_s,
            arrival_s=self.now_s,
            cell=self.cell,
            kpis=cells,
            totals=totals,
            users=_samples(state, measured[-1]),
            configuration=self.configuration(),
        )

    def apply(self, change: Change) -> Acknowledgement:
        """Carry a change out, whole or not at all; a request that was carried out before is answered again."""
        memory = self.memory
        if change.request in memory.answered:
            return Acknowledgement(change.request, True, memory.revision, repeated=True)
        try:
            self._check(change)
        except InputError as error:
            return Acknowledgement(change.request, False, memory.revision, str(error))
        self.memory = replace(
            memory,
            settings=turned(memory.settings, change.turns, self.cell),
            revision=memory.revision + 1,
            answered=(*memory.answered, change.request)[-REMEMBERED:],
        )
        return Acknowledgement(change.request, True, self.memory.revision)

    def _check(self, change: Change) -> None:
        revision = self.memory.revision
        if change.revision is not None and change.revision != revision:
            fix = "look at the network again and plan anew"
            raise InputError("revision", change.revision, allowed=f"{revision}, the one in force", fix=fix)
        most_dbm = w_to_dbm(self._world.city.cells.max_power_w)
        for turn in change.turns:
            check_turn(turn, self.cell)
            most = float(most_dbm[self.cell.index(turn.cell)])
            if turn.setting == "power_dbm" and turn.value > most + 1e-3:
                allowed = f"at most {most:.2f} dBm, its maximum"
                raise InputError("power_dbm", f"{turn.value:g}", allowed=allowed, fix="ask for less", where=turn.cell)


def _over(measured: list[Kpis]) -> tuple[dict[str, Array], dict[str, float]]:
    """KPIs of cells and totals over some seconds."""
    period = kpi.Period("cell")
    for second in measured:
        period.add({name: np.asarray(values)[None] for name, values in kpi.cell_columns(second).items()})
    cells = {name: np.asarray(values, np.float64) for name, values in period.values().items()}
    return cells, kpi.summarise([kpi.total_row(second) for second in measured])


def _samples(state: NetworkState, kpis: Kpis) -> UserSamples:
    """What users measured in the last second."""
    return UserSamples(
        x_m=state.users.x_m,
        y_m=state.users.y_m,
        serving=state.serving,
        rsrp_dbm=kpis.user_rsrp_dbm,
        sinr_db=linear_to_db(kpis.user_sinr).astype(np.float32),
        rate_bps=kpis.user_rate_bps,
    )
