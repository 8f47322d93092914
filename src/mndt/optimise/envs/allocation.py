"""`mndt/Allocation-v0`: one cell, one block and a power for every user, so that demands are met in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from jaxtyping import Float32

from mndt.errors import InputError
from mndt.optimise.allocation.problem import FLOOR, Choice, Episode, Limits, Moment, check
from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, LARGEST_DEMAND, episode

Array = np.ndarray
Act = Mapping[str, Array]
Seen = dict[str, Array]

LEAST_DB: Final = -300.0
"""Gains are observed in dB, none below this."""

_MOST_SEEDS: Final = 2**31


class Allocations(spaces.Dict):
    """The actions of an allocation: only those that respect every constraint, also when sampled."""

    def __init__(self, limits: Limits, n_users: int, seed: int | np.random.Generator | None = None) -> None:
        self.limits, self.n_users = limits, n_users
        n_cells, most_w = len(limits.power_w), float(limits.power_w.max())
        parts: dict[str, spaces.Space[Any]] = {
            "cell": spaces.MultiDiscrete(np.full(n_users, n_cells), dtype=np.int32),
            "block": spaces.MultiDiscrete(np.full(n_users, limits.n_blocks), dtype=np.int32),
            "power_w": spaces.Box(0.0, most_w, (n_users,), np.float32),
        }
        super().__init__(parts, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        """Random places, one for each user, and random shares of the power of his cell; masks are ignored."""
        rng, limits = self.np_random, self.limits
        n_cells = len(limits.power_w)
        seat = rng.permutation(n_cells * limits.places)[: self.n_users]
        cell, order = seat // limits.places, rng.permuted(np.tile(np.arange(limits.n_blocks), (n_cells, 1)), axis=1)
        wish = rng.random(self.n_users) + 1e-3
        total = np.bincount(cell, wish, n_cells) + rng.random(n_cells)
        power_w = limits.power_w[cell] * wish / total[cell]
        block = order[cell, seat % limits.places]
        return {
            "cell": cell.astype(np.int32),
            "block": block.astype(np.int32),
            "power_w": power_w.astype(np.float32),
        }

    def contains(self, x: Any) -> bool:
        """Whether an action has the right form and violates nothing."""
        try:
            check(choice_of(x, self.n_users), self.limits, self.n_users)
        except InputError:
            return False
        return True


class AllocationEnv(gymnasium.Env[Any, Any]):
    """Who gets which cell, block and power in each of 20 steps, so that demands are met and much is delivered.

    The constrained decision process of the paper (IV-A) on the scenarios of Table II, or smaller ones.

    Action: a dictionary of `cell` and `block` (int32, one number a user) and `power_w` (float32). A block
    is given once in a cell, and a cell's powers sum to no more than its limit; `action_space.sample()`
    respects that. `action_of` turns a `Choice` into an action.

    Observation: a dictionary of `time_left` (share of the episode, [1]), `unmet` (demand still to be
    delivered, units of the block's bandwidth, [users]), `power_w` (limits, [cells]) and `gain_db`
    ([users, cells]). Reward: throughput of the step, units of bandwidth. The last step terminates the
    episode: time is part of the state.

    `info`: `cost`, the demand satisfied in the step, whose sum is to reach `floor`; `satisfaction`, the share
    of all demand satisfied so far; `rate` of every user in bit/s/Hz; `scenario_seed`. The word cost is the
    paper's: more is better.

    Args:
        scenario: name of a scenario, see `mndt.optimise.allocation.scenarios.SCENARIOS`.
        floor: share of the demand to be satisfied by the end.
        size: `n_users`, `n_cells`, `n_blocks`, `n_steps` and the other arguments of `episode`; what is left
            out is as in the scenario (8,000 users, 184 cells).

    Raises:
        InputError: a size that does not fit; an action that violates a constraint, by its name.
        gymnasium.error.ResetNeeded: a step before the first reset or after the end.

    A small one, played by a method::

        import gymnasium
        import mndt.optimise.envs
        from mndt.optimise.allocation.places import first_choice

        env = gymnasium.make("mndt/Allocation-v0", n_users=60, n_cells=8, n_blocks=12).unwrapped
        observation, info = env.reset(seed=1)
        action = env.action_of(first_choice(env.moment.gain, env.moment.limits))
        observation, reward, terminated, truncated, info = env.step(action)
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 as Gymnasium declares it

    def __init__(
        self, scenario: str = "table2", *, floor: float = FLOOR, render_mode: str | None = None, **size: Any
    ) -> None:
        if not 0.0 <= floor <= 1.0:
            raise InputError("floor", floor, allowed="0 to 1", fix="give a share of the demand", where=_WHERE)
        self.scenario, self.floor, self.render_mode, self._size = scenario, floor, render_mode, size
        self._episode = _made(scenario, FIRST_TRAINING_SEED, size)
        self._moment: Moment | None = None
        limits, n_users = self._episode.limits, len(self._episode.demand)
        n_cells, most_w = len(limits.power_w), float(limits.power_w.max())
        self.action_space = Allocations(limits, n_users)
        self.observation_space = spaces.Dict(
            {
                "time_left": spaces.Box(0.0, 1.0, (1,), np.float32),
                "unmet": spaces.Box(0.0, LARGEST_DEMAND, (n_users,), np.float32),
                "power_w": spaces.Box(0.0, most_w, (n_cells,), np.float32),
                "gain_db": spaces.Box(LEAST_DB, 0.0, (n_users, n_cells), np.float32),
            }
        )

    @property
    def moment(self) -> Moment:
        """The state now: what methods of `mndt.optimise.allocation` decide on."""
        if self._moment is None:
            raise ResetNeeded("no episode has begun, or it is over: call reset() first")
        return self._moment

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """Begin an episode on a scenario drawn from the training seeds.

        Args:
            seed: of the draws of this and all later episodes.
            options: ``{"scenario_seed": 7}`` plays that scenario instead of a drawn one, e.g. to test.
        """
        super().reset(seed=seed)
        drawn = FIRST_TRAINING_SEED + int(self.np_random.integers(_MOST_SEEDS))
        number = (options or {}).get("scenario_seed", drawn)
        self._episode = _made(self.scenario, number, self._size)
        self._moment = self._episode.start()
        return self._seen(self._moment), self._told(np.zeros(len(self._episode.demand)), number)

    def step(self, action: Act) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Serve everyone for a step."""
        moment = self.moment
        choice = choice_of(action, len(moment.demand))
        check(choice, moment.limits, len(moment.demand))
        after, rate = self._episode.advance(moment, choice)
        self._moment = after
        told = self._told(rate, self._number, moment)
        if after is not None:
            return self._seen(after), float(rate.sum(dtype=np.float64)), False, False, told
        left = np.maximum(moment.unmet - rate, 0.0)
        last = self._seen(moment) | {"time_left": np.zeros(1, np.float32), "unmet": left.astype(np.float32)}
        return last, float(rate.sum(dtype=np.float64)), True, False, told

    def action_of(self, choice: Choice) -> Seen:
        """A method's choice as an action."""
        return {"cell": choice.cell, "block": choice.block, "power_w": choice.power_w}

    def _seen(self, moment: Moment) -> Seen:
        gain_db = 10.0 * np.log10(np.maximum(moment.gain, np.float32(1e-30)))
        return {
            "time_left": np.array([moment.steps_left / moment.n_steps], np.float32),
            "unmet": moment.unmet.astype(np.float32),
            "power_w": moment.limits.power_w.copy(),
            "gain_db": np.clip(gain_db, LEAST_DB, 0.0).astype(np.float32),
        }

    def _told(self, rate: Float32[Array, "users"], number: int, moment: Moment | None = None) -> dict[str, Any]:
        self._number = number
        demand = self._episode.demand
        unmet = demand if moment is None else moment.unmet
        cost = float(np.minimum(rate, unmet).sum())
        satisfied = float((demand - unmet).sum()) + cost
        return {
            "cost": cost,
            "floor": self.floor * float(demand.sum()),
            "satisfaction": satisfied / float(demand.sum()),
            "rate": np.array(rate, np.float32),
            "scenario_seed": number,
        }


_WHERE: Final = "mndt/Allocation-v0"


def choice_of(action: Any, n_users: int) -> Choice:
    """An action as the arrays it stands for.

    Raises:
        InputError: not a dictionary of the three, or of another kind of numbers.
    """
    names = ("cell", "block", "power_w")
    if not isinstance(action, Mapping) or set(action) != set(names):
        said = sorted(action) if isinstance(action, Mapping) else f"of type {type(action).__name__}"
        allowed = f"a dictionary of {', '.join(names)}"
        raise InputError("action", said, allowed=allowed, fix="see action_space.sample()", where=_WHERE)
    arrays: Sequence[Array] = [np.asarray(action[name]) for name in names]
    for name, array, kinds in zip(names, arrays, ("iu", "iu", "f"), strict=True):
        if array.dtype.kind not in kinds:
            allowed = "whole numbers" if "i" in kinds else "numbers with a point"
            raise InputError(name, f"of {array.dtype}", allowed=allowed, fix="convert it", where=_WHERE)
    cell, block, power_w = arrays
    return Choice(
        np.ascontiguousarray(cell, np.int32), np.ascontiguousarray(block, np.int32),
        np.ascontiguousarray(power_w, np.float32),
    )  # fmt: skip


def _made(scenario: str, seed: Any, size: Mapping[str, Any]) -> Episode:
    """The episode of a seed; unknown sizes are answered in a sentence."""
    from inspect import signature

    from mndt.errors import unknown_name

    known = [name for name in signature(episode).parameters if name not in ("name", "seed")]
    for name in size:
        if name not in known:
            raise unknown_name("argument", name, ["scenario", "floor", *known], where=_WHERE)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("scenario_seed", seed, allowed="a whole number from 0", fix="choose one", where=_WHERE)
    return episode(scenario, int(seed), **size)
