"""Allocation of cells, blocks and power as the constrained decision process of the paper (IV-A).

State: remaining time, remaining demands, maximum powers of the cells, gains. Action: cell, block and
power of every user. Reward: total throughput. Cost: satisfied demand, whose sum over the episode has a
floor. Constraints: one cell and one block per user, a block once in a cell, users of a cell, sum of
powers of a cell. Throughput and demand are in units of the block's bandwidth: a user with 3 bit/s/Hz
for four steps of a second has received 12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int32

from mndt.errors import InputError

Array = np.ndarray

FLOOR: Final = 0.95
"""Share of the total demand to be satisfied by the end, the paper's experiment."""

POWER_SLACK: Final = 1e-6
"""By how much, as a share, powers may exceed a cell's limit: rounding of float32 sums."""


@dataclass(frozen=True)
class Limits:
    """What an allocation must respect and an episode does not change."""

    power_w: Float32[Array, "cells"]  # sum over a cell's users
    n_blocks: int
    noise_w: float  # in one block
    users_per_cell: int | None = None  # None: as many as blocks

    @property
    def places(self) -> int:
        """Users one cell can have: each holds a block of its own."""
        return min(self.n_blocks, self.n_blocks if self.users_per_cell is None else self.users_per_cell)


@dataclass(frozen=True)
class Choice:
    """The action: one cell, one block and a power for every user."""

    cell: Int32[Array, "users"]
    block: Int32[Array, "users"]
    power_w: Float32[Array, "users"]

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True)
class Moment:
    """The state as a method sees it at the start of a step: nothing of the future."""

    step: int
    n_steps: int
    gain: Float32[Array, "users cells"]
    demand: Float64[Array, "users"]  # of the whole episode, units of bandwidth
    received: Float64[Array, "users"]  # so far
    limits: Limits
    previous: Choice | None = None  # of the step before: where the others will be heard, and a warm start
    rate: Float32[Array, "users"] | None = None  # of the step before, bit/s/Hz
    position_m: Float32[Array, "2 users"] | None = None  # where everyone is now, east and north; None: unknown

    @property
    def unmet(self) -> Float64[Array, "users"]:
        """What is still to be delivered."""
        unmet: Array = np.maximum(self.demand - self.received, 0.0)
        return unmet

    @property
    def steps_left(self) -> int:
        """With this one."""
        return self.n_steps - self.step


Method = Callable[[Moment], Choice]
"""Decides one step. One made for an episode may remember what it saw in it."""


@dataclass(frozen=True)
class Episode:
    """One scenario with its seed: who wants how much, and how the gains change."""

    limits: Limits
    demand: Float64[Array, "users"]
    gain_at: Callable[[int], Float32[Array, "users cells"]]  # step -> linear gain, C-contiguous
    n_steps: int = 20
    position_at: Callable[[int], Float32[Array, "2 users"]] | None = None  # step -> m east and north

    def start(self) -> Moment:
        """Nothing delivered yet."""
        none = np.zeros_like(self.demand)
        return Moment(0, self.n_steps, self.gain_at(0), self.demand, none, self.limits, position_m=self._position_m(0))

    def _position_m(self, step: int) -> Float32[Array, "2 users"] | None:
        return None if self.position_at is None else self.position_at(step)

    def advance(self, moment: Moment, choice: Choice) -> tuple[Moment | None, Float32[Array, "users"]]:
        """The next state, None after the last step, and every user's rate in bit/s/Hz."""
        rate = rates(moment.gain, choice, moment.limits)
        step = moment.step + 1
        received = moment.received + rate
        if step == self.n_steps:
            return None, rate
        after = replace(
            moment, step=step, gain=self.gain_at(step), received=received, previous=choice, rate=rate,
            position_m=self._position_m(step),
        )  # fmt: skip
        return after, rate


@dataclass(frozen=True)
class Outcome:
    """What an episode brought."""

    received: Float64[Array, "users"]
    demand: Float64[Array, "users"]
    seconds: Float64[Array, "steps"]  # processor time of each decision
    powerless: float  # share of user-steps with less than a thousandth of the cell's fair share of power

    @property
    def throughput(self) -> float:
        """Reward: everything received, units of bandwidth."""
        return float(self.received.sum())

    @property
    def satisfaction(self) -> float:
        """Cost: share of the total demand that was delivered to those who asked."""
        return float(np.minimum(self.received, self.demand).sum() / self.demand.sum())


def rates(gain: Float32[Array, "users cells"], choice: Choice, limits: Limits) -> Float32[Array, "users"]:
    """Shannon rates in bit/s/Hz: log2(1 + S / (I + N)), interference from other cells on the same block."""
    from mndt.optimise.allocation import _kernels

    found: Array = _kernels.rates(
        gain, choice.cell, choice.block, choice.power_w, limits.n_blocks, np.float32(limits.noise_w)
    )
    return found


def check(choice: Choice, limits: Limits, n_users: int) -> None:
    """Raises InputError that names the violated constraint and who violates it.

    >>> limits = Limits(np.array([1.0], np.float32), n_blocks=2, noise_w=1e-15)
    >>> same = Choice(np.zeros(2, np.int32), np.zeros(2, np.int32), np.full(2, 0.5, np.float32))
    >>> check(same, limits, 2)
    Traceback (most recent call last):
        ...
    mndt.errors.InputError: ...
    """
    for problem in _violations(choice, limits, n_users):
        raise problem


def _violations(choice: Choice, limits: Limits, n_users: int) -> Iterator[InputError]:
    """The violated constraints, in the order of the paper."""
    n_cells = len(limits.power_w)
    for name, values in (("cell", choice.cell), ("block", choice.block), ("power_w", choice.power_w)):
        if np.shape(values) != (n_users,):
            allowed = f"one value for each of the {n_users} users"
            yield InputError(name, f"of shape {np.shape(values)}", allowed=allowed, fix="decide for everyone")
    for name, values, top in (("cell", choice.cell, n_cells), ("block", choice.block, limits.n_blocks)):
        wrong = np.flatnonzero((values < 0) | (values >= top))
        if len(wrong):
            allowed, who = f"0 to {top - 1}, one for each user", f"{values[wrong[0]]} of user {wrong[0]}"
            yield InputError(name, who, allowed=allowed, fix=f"give everyone one {name}")
    place, count = np.unique(choice.cell.astype(np.int64) * limits.n_blocks + choice.block, return_counts=True)
    if (count > 1).any():
        cell, block = divmod(int(place[count > 1][0]), limits.n_blocks)
        who = f"{block} of cell {cell} held by {count.max()} users"
        yield InputError("block", who, allowed="a block once in a cell", fix="move all but one to free blocks")
    users = np.bincount(choice.cell, minlength=n_cells)
    if (users > limits.places).any():
        who = f"{users.argmax()} with {users.max()} users"
        yield InputError("cell", who, allowed=f"up to {limits.places} users", fix="move some to other cells")
    if not np.isfinite(choice.power_w).all() or (choice.power_w < 0).any():
        yield InputError("power_w", choice.power_w.min(), allowed="0 or more", fix="clip it")
    total = np.bincount(choice.cell, choice.power_w.astype(np.float64), n_cells)
    over = total > limits.power_w * (1.0 + POWER_SLACK)
    if over.any():
        worst = int((total / limits.power_w).argmax())
        who, allowed = f"{total[worst]:.6g} W in cell {worst}", f"up to {limits.power_w[worst]:.6g} W"
        yield InputError("power_w", who, allowed=allowed, fix="scale the cell's powers down")


def play(episode: Episode, method: Method, *, checked: bool = False) -> Outcome:
    """Let a method decide a whole episode.

    Args:
        episode: the scenario.
        method: decides each step.
        checked: also look for violated constraints in every step; raises InputError.
    """
    import time

    moment: Moment | None = episode.start()
    seconds, powerless, received = [], [], np.zeros_like(episode.demand)
    while moment is not None:
        began = time.process_time()
        choice = method(moment)
        seconds.append(time.process_time() - began)
        if checked:
            check(choice, episode.limits, len(episode.demand))
        users = np.bincount(choice.cell, minlength=len(episode.limits.power_w))
        fair_w = (episode.limits.power_w / np.maximum(users, 1))[choice.cell]
        powerless.append(float((choice.power_w < 1e-3 * fair_w).mean()))
        moment, rate = episode.advance(moment, choice)
        received += rate
    return Outcome(received, episode.demand, np.array(seconds), float(np.mean(powerless)))
