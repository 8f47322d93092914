"""Generators of traffic beside ours. All get the training series and the sizes of the groups asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.checks._demand_features import acf, mean_day
from mndt.users.demand.observed import Observed

Array = np.ndarray

Generator = Callable[[Observed, list[int], np.random.Generator], Float64[Array, "series slots"]]
"""Makes series for groups of these sizes from training series."""


def resample(train: Observed, sizes: list[int], rng: np.random.Generator) -> Float64[Array, "series slots"]:
    """Series of other real places, whole groups as they are: what no generator can be asked to surpass."""
    groups, rows, wanted = rng.permutation(np.unique(train.group)), [], sum(sizes)
    for g in np.concatenate([groups, groups, groups, groups]):
        rows += np.flatnonzero(train.group == g).tolist()
        if len(rows) >= wanted:
            break
    return np.asarray(train.traffic[rows[:wanted]])


def bootstrap(train: Observed, sizes: list[int], rng: np.random.Generator) -> Float64[Array, "series slots"]:
    """The mean day of a training series, each slot times a residual drawn anew from that series."""
    s, q = train.slots_per_day, train.quantum
    rows = rng.integers(len(train), size=sum(sizes))
    y = np.log(train.traffic[rows] + q)
    slot = np.arange(y.shape[1]) % s
    profile = mean_day(y, s)[:, slot]
    rest = np.take_along_axis(y - profile, rng.integers(y.shape[1], size=y.shape), axis=1)
    return _plain(profile + rest, q)


def one_mode(train: Observed, sizes: list[int], rng: np.random.Generator) -> Float64[Array, "series slots"]:
    """Lognormal AR(1) of one mean, spread and memory for all series, each on a level of its own."""
    y = np.log(train.traffic + train.quantum)
    level = y.mean(axis=1)
    memory, sd = float(acf(y, 1).mean()), float((y - level[:, None]).std())
    z = autoregression(np.full(sum(sizes), memory), y.shape[1], rng)
    return _plain(level.mean() + level.std() * rng.standard_normal((sum(sizes), 1)) + sd * z, train.quantum)


def lognormal(train: Observed, sizes: list[int], rng: np.random.Generator) -> Float64[Array, "series slots"]:
    """Independent lognormal slots with the mean and spread of a training series."""
    y = np.log(train.traffic + train.quantum)[rng.integers(len(train), size=sum(sizes))]
    mean, sd = y.mean(axis=1, keepdims=True), y.std(axis=1, keepdims=True)
    return _plain(mean + sd * rng.standard_normal(y.shape), train.quantum)


def profile_ar(train: Observed, sizes: list[int], rng: np.random.Generator) -> Float64[Array, "series slots"]:
    """The mean day of a training series and AR(1) noise with that series' spread and memory: the strong baseline."""
    s, q = train.slots_per_day, train.quantum
    y = np.log(train.traffic + q)[rng.integers(len(train), size=sum(sizes))]
    profile = mean_day(y, s)[:, np.arange(y.shape[1]) % s]
    rest = y - profile
    z = autoregression(acf(rest, 1), y.shape[1], rng)
    return _plain(profile + rest.std(axis=1, keepdims=True) * z, q)


def autoregression(memory: Float64[Array, "series"], slots: int, rng: np.random.Generator) -> Array:
    """Stationary AR(1) of unit variance."""
    z = rng.standard_normal((len(memory), slots))
    for t in range(1, slots):
        z[:, t] = memory * z[:, t - 1] + np.sqrt(1 - memory**2) * z[:, t]
    return z


def _plain(y: Array, q: float) -> Array:
    """Back to traffic, in whole multiples of the quantum."""
    return np.asarray(np.maximum(np.rint((np.exp(y) - q) / q), 0.0) * q)


RIVALS: Final[dict[str, Generator]] = {
    "resample": resample,
    "profile_ar": profile_ar,
    "one_mode": one_mode,
    "lognormal": lognormal,
    "bootstrap": bootstrap,
}
