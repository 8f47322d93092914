"""Stages of the chain that learn nothing: demand, association, blocks and power, each decided after the other.

What every stage works for is ``sum over u of rate[u] + bonus[u] * min(rate[u], demand[u])``, demand[u] being
what the first stage asks for in this step; 0 for everyone ignores demands. The bonus is lambda, or what the first
stage makes of it for each user.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from mndt.learn.edge_weights import CellEdges, cell_edges, choose_cells
from mndt.optimise.allocation.forecast import by_mean, mean_rate
from mndt.optimise.allocation.places import even_power, fill_blocks
from mndt.optimise.allocation.problem import Choice, Moment
from mndt.optimise.allocation.solver import NORMAL, Worth, flat, solve
from mndt.streams import Streams

Array = np.ndarray

SETTLING_STEPS: Final = 20
SETTLING_RATE: Final = 0.2
FIRST_PASSES: Final = 3
"""Over all cells, where there is no step before."""
POWER_STEPS: Final = 40
POWER_RATE: Final = 0.4
"""Of Adam, in logits."""
WMMSE_STEPS: Final = 20
DAMP: Final = 0.5
"""Of the linear price of interference, an overestimate."""
MOST: Final = 8.0
"""bit/s/Hz that a user who will end short is asked to get."""
FIRST_MEAN: Final = 3.0
"""bit/s/Hz, expected of everyone before anything was measured."""


class Ask(NamedTuple):
    """What a first stage asks for, where not all users' demands weigh the same."""

    demand: Float32[Array, "users"]
    emphasis: Float32[Array, "users"]  # times lambda


@dataclass(frozen=True)
class Task:
    """What a stage is told: the state, and what the first stage asks for."""

    moment: Moment
    demand: Float32[Array, "users"]  # single-step, bit/s/Hz
    bonus: Float32[Array, "users"]  # worth of a bit/s/Hz up to it, on top of 1
    streams: Streams

    def rng(self, stage: str) -> np.random.Generator:
        """Randomness of a stage in this step."""
        return self.streams.generator(stage, self.moment.step)

    @cached_property
    def worth(self) -> Worth:
        """Of the users' rates."""
        n = len(self.demand)
        return Worth(np.ones(n, np.float32), self.bonus, self.demand)

    @cached_property
    def strength(self) -> Float32[Array, "users cells"]:
        """Received power of every cell at its full power in W."""
        strength: Array = self.moment.gain * self.moment.limits.power_w
        return strength

    @cached_property
    def edges(self) -> CellEdges:
        """Users and their strongest cells; load and power are those last seen."""
        moment, limits, before = self.moment, self.moment.limits, self.moment.previous
        n_cells = len(limits.power_w)
        if before is None:
            load = np.bincount(self.strength.argmax(axis=1), minlength=n_cells)
            used_w = np.where(load > 0, limits.power_w, 0.0)
            present = share = None
        else:
            load = np.bincount(before.cell, minlength=n_cells)
            used_w, present = np.bincount(before.cell, before.power_w, n_cells), before.cell
            share = before.power_w * (load / limits.power_w).astype(np.float32)[present]
        return cell_edges(
            moment.gain,
            limits.power_w,
            limits.noise_w,
            limits.n_blocks,
            self.demand,
            load,
            used_w,
            present,
            share,
            moment.rate,
        )


def make_task(moment: Moment, asked: Float32[Array, "users"] | Ask, lambda_: float, streams: Streams) -> Task:
    """What the stages after the first are told."""
    ask = asked if isinstance(asked, Ask) else Ask(asked, np.ones(len(asked), np.float32))
    return Task(moment, ask.demand, np.float32(lambda_) * ask.emphasis, streams)


def begun(task: Task, found: Int32[Array, "users"] | Choice) -> tuple[Task, Int32[Array, "users"]]:
    """Cells of an association; where it has blocks too, the next stage begins with them."""
    if isinstance(found, Choice):
        return replace(task, moment=replace(task.moment, previous=found)), found.cell
    return task, found


Score = Callable[..., Array]
"""Of the edges between the users of one cell and its blocks: larger is better. Arguments: the users, then as in
`mndt.learn.edge_weights.block_features`."""


def equal_demand(moment: Moment) -> Float32[Array, "users"]:
    """What is unmet, in equal parts over the steps left."""
    return (moment.unmet / moment.steps_left).astype(np.float32)


def no_demand(moment: Moment) -> Float32[Array, "users"]:
    """Demands are ignored."""
    return np.zeros(len(moment.demand), np.float32)


def short_demand(moment: Moment) -> Ask:
    """All they can get for those who will end short if all goes on as so far, by the probability of that."""
    short = by_mean(moment, mean_rate(moment) or FIRST_MEAN)
    return Ask(np.full(len(short), MOST, np.float32), (short * (moment.unmet > 0.0)).astype(np.float32))


def strongest_cells(task: Task) -> Int32[Array, "users"]:
    """The cell received strongest at full power; where places are short, least loss in dB in total."""
    edges = task.edges
    return choose_cells(edges.features[..., 1], edges, task.strength, task.moment.limits.places)


def exact_cells(task: Task) -> Int32[Array, "users"]:
    """The assignment of largest worth, the rates foretold from load and interference as last seen."""
    rate = task.edges.features[..., 0]
    value = rate + task.bonus[:, None] * np.minimum(rate, task.demand[:, None])
    return choose_cells(value, task.edges, task.strength, task.moment.limits.places)


def kept_blocks(task: Task, cell: Int32[Array, "users"]) -> Int32[Array, "users"]:
    """Who stays in his cell keeps his block, the others get free ones at random."""
    limits, before = task.moment.limits, task.moment.previous
    block = np.full(len(cell), -1, np.int32)
    if before is not None:
        stays = before.cell == cell
        block[stays] = before.block[stays]
    return fill_blocks(block, cell, limits.n_blocks, task.rng("blocks"))


def exchanged_cells(task: Task) -> Choice:
    """From the step before one sweep: each user to the cell and block of largest worth less the loss of all others."""
    seed = int(task.rng("exchange").integers(2**31))
    effort = replace(NORMAL, power_steps=0)
    moment = task.moment
    return solve(moment.gain, moment.limits, task.worth, warm=moment.previous, effort=effort, seed=seed)


def random_blocks(task: Task, cell: Int32[Array, "users"]) -> Int32[Array, "users"]:
    """Any blocks, no two alike in a cell."""
    return fill_blocks(np.full(len(cell), -1, np.int32), cell, task.moment.limits.n_blocks, task.rng("blocks"))


def equal_power(task: Task, cell: Array, block: Array) -> Float32[Array, "users"]:
    """Equal shares of the power of a cell."""
    return even_power(cell, task.moment.limits)


def priced_blocks(task: Task, cell: Int32[Array, "users"]) -> Int32[Array, "users"]:
    """Cell by cell the Hungarian method on own worth less the linear price of the interference caused."""
    nothing = np.zeros((9, 0), np.float32)
    return place_users(task, cell, DAMP, nothing, nothing[0], np.zeros((0, 2), np.float32))


def place_users(
    task: Task, cell: Int32[Array, "users"], damp: float, inner_w: Array, inner_b: Array, outer_w: Array
) -> Int32[Array, "users"]:
    """As `hungarian_blocks`, compiled; what the score is made of see `_block_kernels.place_users`."""
    from mndt.optimise.allocation import _block_kernels

    moment, limits = task.moment, task.moment.limits
    block, rng = kept_blocks(task, cell), task.rng("order")
    for _ in range(1 if moment.previous is not None else FIRST_PASSES):
        _block_kernels.place_users(
            moment.gain, rng.permutation(len(limits.power_w)), cell, settled_power(task, cell, block),
            np.float32(limits.noise_w), task.demand, task.bonus, np.float32(damp), inner_w, inner_b, outer_w,
            limits.n_blocks, block,
        )  # fmt: skip
    return block


def hungarian_blocks(
    task: Task, cell: Int32[Array, "users"], score: Score, asked: list[tuple[Any, ...]] | None = None
) -> Int32[Array, "users"]:
    """Blocks of one cell after the other by the Hungarian method, the others staying as they are by then.

    Begins with the blocks of the step before and powers settled there. In NumPy, for any score; one pass.

    Args:
        task: the step.
        cell: of each user.
        score: of the edges of one cell; all its users get different blocks of largest total score.
        asked: gathers users of a cell, arguments of the score and the blocks taken, for training.
    """
    from scipy.optimize import linear_sum_assignment

    limits, noise_w = task.moment.limits, task.moment.limits.noise_w
    gain_t = np.ascontiguousarray(task.moment.gain.T) * np.float32(1.0 / noise_w)  # over noise
    block, n_cells = kept_blocks(task, cell), len(limits.power_w)
    power_w = settled_power(task, cell, block)
    grid = np.zeros((limits.n_blocks, n_cells), np.float32)
    grid[block, cell] = power_w
    own = gain_t[cell, np.arange(len(cell))]
    signal = own * power_w
    heard = np.ones(len(cell))  # float64: cells are taken out again
    for c in range(n_cells):
        heard += gain_t[c] * grid[block, c] * (cell != c)
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=n_cells))[:-1])
    number = np.bincount(block, minlength=limits.n_blocks)
    for c in task.rng("order").permutation(n_cells):
        who = members[c]
        if len(who) == 0:
            continue
        number -= np.bincount(block[who], minlength=limits.n_blocks)
        heard -= gain_t[c] * grid[block, c] * (cell != c)
        grid[:, c] = 0.0
        at = np.maximum(heard, 1.0).astype(np.float32)
        short = 1.0 + task.bonus * (np.log2(1.0 + signal / at) < task.demand)
        loss = short * signal / (at * (at + signal)) * gain_t[c] * (cell != c)
        harm = np.bincount(block, loss, limits.n_blocks).astype(np.float32) / np.float32(np.log(2.0))
        around = 1.0 + gain_t[:, who].T @ grid.T
        power = power_w[who]
        rate = np.log2(1.0 + signal[who, None] / around)
        terms = (rate, around, harm, power, task.demand[who], number)
        _, taken = linear_sum_assignment(score(who, *terms), maximize=True)
        if asked is not None:
            asked.append((who, terms, taken))
        block[who] = taken
        grid[taken, c] = power
        number += np.bincount(taken, minlength=limits.n_blocks)
        heard[who] = around[np.arange(len(who)), taken]
        heard += gain_t[c] * grid[block, c] * (cell != c)
    return block


def exchanged_blocks(task: Task, cell: Int32[Array, "users"]) -> Int32[Array, "users"]:
    """One sweep: each user in turn to the block of largest worth less the exact loss of all others."""
    from mndt.optimise.allocation import _kernels

    gain, limits, worth = task.moment.gain, task.moment.limits, task.worth
    cell, block = cell.copy(), kept_blocks(task, cell)
    power_w = settled_power(task, cell, block)
    _kernels.exchange(
        gain, np.ascontiguousarray(cell[:, None]), task.rng("order").permutation(len(cell)), limits.power_w,
        np.float32(limits.noise_w), limits.places, worth.weight, worth.bonus, worth.need, limits.n_blocks,
        NORMAL.shortlist, cell, block, power_w, flat(limits.n_blocks),
    )  # fmt: skip
    return block


def settled_power(task: Task, cell: Array, block: Array) -> Float32[Array, "users"]:
    """Where powers will about be: what blocks are chosen for. Nobody is out of it yet."""
    return _tuned(task, cell, block, SETTLING_STEPS, SETTLING_RATE)


def wmmse_power(task: Task, cell: Array, block: Array) -> Float32[Array, "users"]:
    """Weighted mean-square errors, from equal shares; the slopes of the worth at the present rates are the weights."""
    from mndt.optimise.allocation import _kernels

    gain, limits, worth = task.moment.gain, task.moment.limits, task.worth
    power_w, values = even_power(cell, task.moment.limits), np.empty(WMMSE_STEPS + 1)
    _kernels.wmmse(
        gain, cell, block, limits.power_w, np.float32(limits.noise_w), worth.weight, worth.bonus, worth.need,
        limits.n_blocks, WMMSE_STEPS, power_w, values,
    )  # fmt: skip
    over = np.bincount(cell, power_w, len(limits.power_w)) / limits.power_w
    within: Array = power_w / np.maximum(over, 1.0)[cell]
    return within.astype(np.float32)


def gradient_power(task: Task, cell: Array, block: Array) -> Float32[Array, "users"]:
    """Adam on the exact gradient of the worth, from equal shares."""
    return _tuned(task, cell, block, POWER_STEPS, POWER_RATE)


def polished_power(task: Task, cell: Array, block: Array, start_w: Array) -> Float32[Array, "users"]:
    """A few small steps of the same search from powers that are good already."""
    return _tuned(task, cell, block, SETTLING_STEPS, SETTLING_RATE, start_w)


def _tuned(
    task: Task, cell: Array, block: Array, steps: int, rate: float, start_w: Array | None = None
) -> Float32[Array, "users"]:
    from mndt.optimise.allocation import _kernels

    gain, limits, worth = task.moment.gain, task.moment.limits, task.worth
    power_w = even_power(cell, limits) if start_w is None else start_w.copy()
    _kernels.tune_power(
        gain, cell, block, limits.power_w, np.float32(limits.noise_w), worth.weight, worth.bonus, worth.need,
        limits.n_blocks, steps, np.float32(rate), power_w, flat(limits.n_blocks),
    )  # fmt: skip
    return power_w
