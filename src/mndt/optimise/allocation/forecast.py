"""Who will be short at the end: the one number that decides whom to favour now.

The marginal worth of a bit for a user is 1 for throughput, and lambda more if it will count as satisfied
demand, which it does if he ends short of it. So his weight is ``1 + lambda P(short at the end)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from scipy.special import expit

from mndt.optimise.allocation.outlook import COLUMNS
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


FEATURES: Final = 11 + COLUMNS
"""Columns of `features`."""


def features(
    moment: Moment, rate: Float32[Array, "users"], ahead: Float32[Array, "users columns"], lambda_: float
) -> Float32[Array, "users features"]:
    """What tells who will end short, in units that fit any load: rates over their mean, levels in bit/s/Hz.

    Args:
        moment: the state.
        rate: of the step before; in the first step, of a trial with all weights one.
        ahead: of an `mndt.optimise.allocation.outlook.Outlook`.
        lambda_: worth of satisfied demand, since the favoured receive more.
    """
    from mndt.optimise.allocation.places import strongest_cells

    left, limits = moment.steps_left, moment.limits
    past = moment.received / moment.step if moment.step else rate
    mean = max(float(np.mean(past)), 1e-6)
    best = strongest_cells(moment.gain, limits.power_w, 3)
    heard_w = np.take_along_axis(moment.gain, best, axis=1) * limits.power_w[best]
    near = np.log2(heard_w / np.float32(limits.noise_w) + 1e-3)
    near = np.pad(near, ((0, 0), (0, 3 - near.shape[1])), constant_values=-10.0)  # where there are fewer cells
    total = np.log2((moment.gain @ limits.power_w) / np.float32(limits.noise_w) + 1e-3)
    users = np.ones(len(past))
    columns = (
        np.minimum(moment.unmet / (left * mean), 8.0), (moment.unmet - mean * left) / (mean * np.sqrt(left)) / 4.0,
        users * left / moment.n_steps, past / mean - 1.0, rate / mean - 1.0, (near[:, 0] - 16.0) / 8.0,
        (near[:, 0] - near[:, 1]) / 4.0, (near[:, 1] - near[:, 2]) / 4.0, near[:, 0] - total,
        users * (mean / 3.0 - 1.0), ahead, users * np.log1p(lambda_),
    )  # fmt: skip
    return np.column_stack(columns).astype(np.float32)


def with_lambda(seen: Float32[Array, "users features"], lambda_: float) -> Float32[Array, "users features"]:
    """The same features for another lambda."""
    other = seen.copy()
    other[:, -1] = np.log1p(lambda_)
    return other


def unit(moment: Moment, rate: Float32[Array, "users"]) -> float:
    """What the average user receives in the episode if it goes on as so far: the unit of a lack."""
    past = moment.received / moment.step if moment.step else rate
    return max(float(np.mean(past)), 1e-6) * moment.n_steps


class Foretold(NamedTuple):
    """What a network says of every user."""

    short: Float64[Array, "users"]  # probability of ending short
    lack: Float64[Array, "users"]  # expected, of those who will and those who will not, in `unit`s


def foretell(weights: Mapping[str, Array], seen: Float32[Array, "users features"]) -> Foretold:
    """By a small network, see `mndt.learn.forecaster`."""
    hidden = np.tanh(seen @ weights["w1"] + weights["b1"])
    hidden = np.tanh(hidden @ weights["w2"] + weights["b2"])
    out = (hidden @ weights["w3"] + weights["b3"]).astype(np.float64)
    return Foretold(expit(out[:, 0]), np.logaddexp(0.0, out[:, 1]))


def least_lambda(
    weights: Mapping[str, Array], moment: Moment, seen: Float32[Array, "users features"],
    rate: Float32[Array, "users"], floor: float, near: float | None,
) -> float:  # fmt: skip
    """The least lambda under which the network expects the floor to be kept.

    Args:
        weights: of the network.
        moment: the state.
        seen: its `features`, with any lambda.
        rate: as for `features`.
        floor: share of the total demand to be satisfied by the end.
        near: lambda of the step before, from which only small steps are taken; None: there was none.
    """
    tried = (
        LAMBDAS if near is None else tuple(float(np.clip(near * factor, LAMBDAS[0], LAMBDAS[-1])) for factor in STEPS)
    )
    for lambda_ in tried:
        seen = with_lambda(seen, lambda_)
        lack = np.minimum(foretell(weights, seen).lack * unit(moment, rate), moment.unmet)
        if lack.sum() <= (1.0 - floor) * moment.demand.sum():
            return lambda_
    return tried[-1]


LAMBDAS: Final = tuple(0.25 * 2.0 ** (0.5 * i) for i in range(15))
"""From 1/4 to 32."""
STEPS: Final = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
"""By which lambda may change from step to step."""
