"""What traffic may come: equally likely courses for each grid, from the last four slots alone.

A network learned on the first day foretells the distribution of the logarithm of traffic 1 to 8 slots ahead of the
last known one. Courses are drawn from these distributions with ranks that stay similar from slot to slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from mndt.learn import traffic_quantiles
from mndt.learn.traffic_quantiles import Samples
from mndt.optimise.sleep.problem import SEEN

Array = np.ndarray
Weights = Mapping[str, Array]

HORIZON: Final = 8
"""Farthest slot that is foretold."""
FLOOR: Final = 0.01
"""Share of a grid's mean that is added before the logarithm is taken."""


@dataclass(frozen=True)
class Character:
    """What is known of each grid from the day that was learned from."""

    mean: Float64[Array, "grids"]  # traffic of a slot
    numbers: Float32[Array, "grids 3"]  # standardised: size, unrest twice


def character(day: Float64[Array, "grids slots"]) -> Character:
    """Numbers of each grid, from one day or more of traffic.

    Size and unrest only: more about a grid's day would let the network recognise it, and repeat that day.
    """
    mean = np.maximum(day.mean(axis=1), 1e-9)
    change = np.diff(logs(day, mean), axis=1)
    numbers = np.stack(
        [np.log(mean), np.log(change.std(axis=1) + 0.05), np.log(np.abs(change).mean(axis=1) + 0.05)], axis=1
    )
    spread = numbers.std(axis=0)
    return Character(mean, ((numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).astype(np.float32))


def logs(traffic: Float64[Array, "grids slots"], mean: Float64[Array, "grids"]) -> Float64[Array, "grids slots"]:
    """Logarithm of traffic by its mean."""
    return np.asarray(np.log(traffic / mean[:, None] + FLOOR))


def features(
    known: Character, past: Float64[Array, "grids 4"], group: Int64[Array, "grids"], share_of_day: float, steps: int
) -> Float32[Array, "grids features"]:
    """What the network sees of each grid to foretell the slot `steps` after the last known one.

    Args:
        known: of each grid.
        past: demand of the last four slots.
        group: grids with equal numbers are neighbours.
        share_of_day: time of day of the slot that is foretold, 0 to 1.
        steps: 1 for the next slot.
    """
    x = logs(past, known.mean)
    near = np.array([np.bincount(group, past[:, k]) for k in range(SEEN)]).T
    level = near.mean(axis=1, keepdims=True)
    around = np.log(near / np.where(level > 0, level, 1.0) + FLOOR)[group]
    own = [x[:, -1:], x[:, -1:] - x[:, :-1], around[:, -1:] - around[:, :-1]]
    angle = 2.0 * np.pi * share_of_day * np.arange(1, 4)
    common = np.concatenate([np.sin(angle), np.cos(angle), [steps / HORIZON, np.log(steps)]])
    return np.concatenate([*own, known.numbers, np.tile(common, (len(x), 1))], axis=1).astype(np.float32)


def samples(
    known: Character, traffic: Float64[Array, "grids slots"], group: Int64[Array, "grids"], slots_per_day: int,
    horizon: int = HORIZON,
) -> tuple[Samples, Int64[Array, "samples"]]:  # fmt: skip
    """What could be seen in a series, what came, and the grid of each sample."""
    seen, came, scale = [], [], []
    x = logs(traffic, known.mean)
    for steps in range(1, horizon + 1):
        for slot in range(SEEN, traffic.shape[1] - steps + 1):
            at = slot + steps - 1
            day = at % slots_per_day / slots_per_day
            seen.append(features(known, traffic[:, slot - SEEN : slot], group, day, steps))
            came.append(x[:, at] - x[:, slot - 1])
            scale.append(np.exp(x[:, slot - 1]))
    grid = np.tile(np.arange(len(x)), len(came))
    parts = (np.concatenate(part).astype(np.float32) for part in (seen, came, scale))
    return Samples(*parts), grid


@dataclass(frozen=True)
class Outlook:
    """A learned outlook for the grids of one problem."""

    known: Character
    group: Int64[Array, "grids"]
    slots_per_day: int
    weights: tuple[Weights, ...]  # of networks whose quantiles are averaged
    held_out: Bool[Array, "networks grids"]  # grids that a network did not learn from
    memory: float = 0.8  # correlation of ranks from slot to slot; assumed
    crossed: bool = False  # each grid is foretold only by networks that did not learn from it

    def distribution(
        self, past: Float64[Array, "grids 4"], slot_of_day: int, steps: int = 1
    ) -> Float64[Array, "grids levels"]:
        """Demands of the slot `steps - 1` after `slot_of_day`, ascending; their probabilities are `MASS`."""
        day = (slot_of_day + steps - 1) % self.slots_per_day / self.slots_per_day
        seen = features(self.known, past, self.group, day, steps)
        change = np.stack([traffic_quantiles.quantiles(w, seen) for w in self.weights])
        counts = self.held_out if self.crossed else np.ones_like(self.held_out)
        counts = np.where(counts.any(axis=0), counts, True)
        change = (change * counts[:, :, None]).sum(axis=0) / counts.sum(axis=0)[:, None]
        x = logs(past[:, -1:], self.known.mean) + change
        return np.asarray(np.maximum(np.exp(x) - FLOOR, 0.0) * self.known.mean[:, None], np.float64)

    def courses(
        self, past: Float64[Array, "grids 4"], slot_of_day: int, first: int, last: int, n: int,
        rng: np.random.Generator,
    ) -> Float64[Array, "grids n slots"]:  # fmt: skip
        """Equally likely courses of the slots `first` to `last` after the last known one."""
        out = np.empty((len(past), n, last - first + 1))
        ranks = draw_ranks(n, last - first + 1, self.memory, rng)
        for k, steps in enumerate(range(first, last + 1)):
            values = self.distribution(past, slot_of_day, steps)
            out[:, :, k] = values[:, np.searchsorted(traffic_quantiles.EDGES, ranks[:, k]) - 1]
        return out


def draw_ranks(n: int, slots: int, memory: float, rng: np.random.Generator) -> Float64[Array, "n slots"]:
    """Ranks between 0 and 1 of courses: evenly spread in the first slot, similar from one slot to the next."""
    from scipy.special import ndtr, ndtri

    z = ndtri((rng.permutation(n) + 0.5) / n)
    rows = [z]
    for _ in range(slots - 1):
        z = memory * z + np.sqrt(1.0 - memory**2) * rng.standard_normal(n)
        rows.append(z)
    return np.asarray(ndtr(np.array(rows).T))


def learn(
    traffic: Float64[Array, "grids slots"], group: Int64[Array, "grids"], slots_per_day: int,
    *, epochs: int = 40, networks: int = 6, seed: int = 0, horizon: int = HORIZON,
) -> Outlook:  # fmt: skip
    """An outlook from one day of traffic, or more.

    Each network learns from two thirds of the groups and stops where it foretells the others best.
    """
    known = character(traffic)
    every, grid = samples(known, traffic, group, slots_per_day, horizon)
    names, member = np.unique(group, return_inverse=True)
    found, held_out = [], np.zeros((networks, len(group)), bool)
    for k in range(networks):
        rng = np.random.default_rng([seed, k])
        if len(names) > 1:
            held_out[k] = (rng.permutation(len(names)) < max(len(names) // 3, 1))[member]
        apart = held_out[k][grid]
        weights = traffic_quantiles.start_weights(every.seen.shape[1], seed=seed * 100 + k)
        parts = (every.take(~apart), every.take(apart)) if apart.any() else (every, every)
        found.append(traffic_quantiles.fit(weights, *parts, epochs=epochs, seed=seed * 100 + k)[0])
    return Outlook(known, group, slots_per_day, tuple(found), held_out)
