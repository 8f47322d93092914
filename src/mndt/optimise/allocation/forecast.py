"""Who will be short at the end: the one number that decides whom to favour now.

The marginal worth of a bit for a user is 1 for throughput, and lambda more if it will count as satisfied
demand, which it does if he ends short of it. So his weight is ``1 + lambda P(short at the end)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64
from scipy.special import expit

from mndt.optimise.allocation.problem import Moment

Array = np.ndarray

SPREAD: Final = 0.29
"""Logistic scale of what a user receives in n steps, in units of the mean rate times the root of n."""


def mean_rate(moment: Moment) -> float | None:
    """What a user received per step so far, on average over all; None before the first step is over."""
    return float(moment.received.mean() / moment.step) if moment.step else None


def short_at_end(
    unmet: Float64[Array, "users"], future: Float64[Array, "users"] | float, spread: float
) -> Float64[Array, "users"]:
    """Probability that what is unmet exceeds what is to come, which is logistic around `future`.

    >>> short_at_end(np.array([0.0, 10.0, 30.0]), 10.0, 4.0).round(2).tolist()
    [0.0, 0.5, 0.99]
    """
    return np.where(unmet > 0.0, expit((unmet - future) / spread), 0.0)


def by_mean(moment: Moment, rate: float) -> Float64[Array, "users"]:
    """Everyone is expected to go on like the average user: causal, and knows nothing but demands."""
    left = moment.steps_left
    return short_at_end(moment.unmet, rate * left, SPREAD * rate * np.sqrt(left))


def expected_satisfaction(moment: Moment, future: Float64[Array, "users"] | float, spread: float) -> float:
    """Share of the total demand that will be satisfied if what is to come is logistic around `future`."""
    short = spread * np.logaddexp(0.0, (moment.unmet - future) / spread)
    return float(1.0 - np.minimum(short, moment.unmet).sum() / moment.demand.sum())


FEATURES: Final = 11
"""Columns of `features`."""


def features(moment: Moment, rate: Float32[Array, "users"], lambda_: float) -> Float32[Array, "users features"]:
    """What tells who will end short, in units that fit any load: rates over their mean, levels in bit/s/Hz.

    Args:
        moment: the state.
        rate: of the step before; in the first step, of a trial with all weights one.
        lambda_: worth of satisfied demand, since the favoured receive more.
    """
    from mndt.optimise.allocation.places import strongest_cells

    left, limits = moment.steps_left, moment.limits
    past = moment.received / moment.step if moment.step else rate
    mean = max(float(np.mean(past)), 1e-6)
    level = np.log2(moment.gain * (limits.power_w / limits.noise_w) + 1e-3)
    near = np.take_along_axis(level, strongest_cells(moment.gain, limits.power_w, 3), axis=1)
    near = np.pad(near, ((0, 0), (0, 3 - near.shape[1])), constant_values=-10.0)  # where there are fewer cells
    total = np.log2((moment.gain @ limits.power_w) / np.float32(limits.noise_w) + 1e-3)
    users = np.ones(len(past))
    columns = (
        np.minimum(moment.unmet / (left * mean), 8.0), (moment.unmet - mean * left) / (mean * np.sqrt(left)) / 4.0,
        users * left / moment.n_steps, past / mean - 1.0, rate / mean - 1.0, (near[:, 0] - 16.0) / 8.0,
        (near[:, 0] - near[:, 1]) / 4.0, (near[:, 1] - near[:, 2]) / 4.0, near[:, 0] - total,
        users * (mean / 3.0 - 1.0), users * np.log1p(lambda_),
    )  # fmt: skip
    return np.column_stack(columns).astype(np.float32)


def learned(weights: Mapping[str, Array], seen: Float32[Array, "users features"]) -> Float64[Array, "users"]:
    """Probability of ending short by a small network (two layers of tanh, logistic output)."""
    hidden = np.tanh(seen @ weights["w1"] + weights["b1"])
    hidden = np.tanh(hidden @ weights["w2"] + weights["b2"])
    found: Array = expit((hidden @ weights["w3"] + weights["b3"])[:, 0].astype(np.float64))
    return found
