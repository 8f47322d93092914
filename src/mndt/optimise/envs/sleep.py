"""`mndt/CellSleep-v0`: one agent a cell decides in each slot whether it is on, asleep or off (PettingZoo, parallel)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32

from mndt.errors import InputError

if find_spec("pettingzoo") is None:
    raise InputError("pettingzoo", "not installed", allowed="1.24 or later", fix="pip install 'mndt[rl]'")

from pettingzoo import ParallelEnv

from mndt.optimise.sleep.masks import masks
from mndt.optimise.sleep.problem import SEEN, Setting, serve, start
from mndt.optimise.sleep.scenario import fleet_for
from mndt.optimise.sleep.scores import always_on, price_of
from mndt.state import Status
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import generate, load

Array = np.ndarray

NAME: Final = "mndt/CellSleep-v0"
NUMBERS: Final = 15
"""Of an agent's observation: time of day (2), demand of the grid in the last four slots by its capacity (4), capacity
by that of the grid, kW idle, more at full load and asleep, own status (3), whether the station runs, and the last
demand by what the cell and the others that are on carry."""


class CellSleepEnv(ParallelEnv[str, dict[str, Array], int]):  # type: ignore[misc]  # untyped without the extra
    """Cells of a few places over a day.

    Args:
        observed: traffic; None: made up anew at each reset.
        places: of made-up traffic.
        setting: "a", "b" or "c", see `optimise.sleep.problem`.
        margin: capacity of a grid by its peak.
        fleet_seed: of cells and stations.

    An observation holds `observation` [15] and `masks` [2]: whether the grid is served without the cell, and whether
    its station closes with it, from the statuses and the last demand known. A reward is minus what the cell costs,
    energy and switching, less its part of what its grid left unserved at ten times the energy of a unit; 1 is the mean
    energy of a cell when all are on. Summed over agents and slots that is minus J + 10u.
    """

    metadata: dict[str, Any] = {"name": NAME, "render_modes": []}  # noqa: RUF012 -- PettingZoo's own form

    def __init__(
        self, observed: Observed | None = None, *, places: int = 6, setting: str = "b", margin: float = 1.5,
        fleet_seed: int = 0,
    ) -> None:  # fmt: skip
        if setting not in ("a", "b", "c"):
            raise InputError("setting", setting, allowed="a, b or c", fix="take b")
        self._given, self._places, self._setting = observed, places, Setting(setting)
        self._margin, self._fleet_seed = margin, fleet_seed
        self._prepare(np.random.default_rng(0))
        self.possible_agents = [f"cell_{c}" for c in range(len(self._fleet.grid))]
        self.agents: list[str] = []
        self._actions = {agent: spaces.Discrete(3) for agent in self.possible_agents}
        numbers = spaces.Box(-1.0, np.inf, (NUMBERS,), np.float32)
        self._spaces = {
            agent: spaces.Dict({"observation": numbers, "masks": spaces.MultiBinary(2)})
            for agent in self.possible_agents
        }

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same for every agent."""
        return self._spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """0 on, 1 asleep, 2 off; a space of each agent's own, so that samples can be seeded."""
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, Array]], dict[str, dict[str, Any]]]:
        """A new day, from all cells on; traffic is drawn by the seed where none was given."""
        if self._given is None:
            self._prepare(np.random.default_rng(seed))
        self._slot, self._status = SEEN, start(self._fleet)
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, dict[str, Array]], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """Serve a slot with the statuses asked for; an agent that says nothing stays as it is."""
        if not self.agents:
            raise InputError("step", "after the end", allowed="between reset and the last slot", fix="call reset first")
        wanted = self._status.copy()
        for c, agent in enumerate(self.possible_agents):
            if agent in actions:
                wanted[c] = int(actions[agent])
        row = serve(self._fleet, self._status, wanted, self._traffic[:, self._slot], self._setting)
        fleet = self._fleet
        lost = (self._price * row.unserved)[fleet.grid] * fleet.capacity / fleet.grid_capacity[fleet.grid]
        reward = -(row.cell_wh + lost) / self._unit_wh
        self._slot, self._status = self._slot + 1, row.status
        ended = self._slot >= self._traffic.shape[1]
        agents, seen = self.agents, self._seen()
        if ended:
            self.agents = []
        info = {"energy_wh": row.energy_wh, "switching_wh": row.switching_wh, "unserved": float(row.unserved.sum())}
        return (
            seen,
            dict(zip(agents, reward.tolist(), strict=True)),
            dict.fromkeys(agents, ended),
            dict.fromkeys(agents, False),
            {agent: dict(info) for agent in agents},
        )

    def render(self) -> None:
        """Nothing to show."""

    def _prepare(self, rng: np.random.Generator) -> None:
        """Traffic of a day and what hangs on it."""
        observed = self._given
        if observed is None:
            patterns = load("nanchang")
            observed = generate(patterns, [self._places], rng, slots=patterns.slots_per_day)
        self._fleet = fleet_for(observed, self._fleet_seed, margin=self._margin)
        self._traffic, self._per_day = observed.traffic, observed.slots_per_day
        self._price = price_of(self._fleet, self._traffic)
        cells = self._traffic.shape[1] * len(self._fleet.grid)
        self._unit_wh = float(always_on(self._fleet, self._traffic).sum()) / cells

    def _seen(self) -> dict[str, dict[str, Array]]:
        numbers, flags = self._numbers(), self._masks()
        return {agent: {"observation": numbers[c], "masks": flags[c]} for c, agent in enumerate(self.possible_agents)}

    def _last(self) -> Array:
        """The latest demand that is known."""
        slot = min(self._slot, self._traffic.shape[1] - 1)
        return self._traffic[:, slot if self._setting.knows else slot - 1]

    def _masks(self) -> Array:
        return np.stack(masks(self._fleet, self._status, self._last()), axis=1).astype(np.int8)

    def _numbers(self) -> Float32[Array, "cells numbers"]:
        f, end = self._fleet, self._slot + int(self._setting.knows)
        end = min(end, self._traffic.shape[1])
        past = self._traffic[:, end - SEEN : end] / f.grid_capacity[:, None]
        angle = 2.0 * np.pi * (self._slot % self._per_day) / self._per_day
        runs = np.bincount(f.station, self._status != Status.OFF, len(f.bbu_w))[f.station] > 0
        room = np.where(self._status == Status.ON, f.capacity, 0.0)
        others = np.bincount(f.grid, room)[f.grid] - room
        tight = self._last()[f.grid] / (others + f.capacity)
        columns = [
            np.full(len(room), np.sin(angle)), np.full(len(room), np.cos(angle)), *past[f.grid].T,
            f.capacity / f.grid_capacity[f.grid], f.idle_w / 1e3, f.load_w / 1e3, f.sleep_w / 1e3,
            *(self._status == status for status in Status), runs, tight,
        ]  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)
