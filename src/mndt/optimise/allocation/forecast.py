"""Who will be short at the end: the one number that decides whom to favour now.

The marginal worth of a bit for a user is 1 for throughput, and lambda more if it will count as satisfied
demand, which it does if he ends short of it. So his weight is ``1 + lambda P(short at the end)``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.optimise.allocation.problem import Moment

Array = np.ndarray

SPREAD: Final = 4.0
"""By how much what a user receives in an episode of 20 steps differs from the mean (logistic scale, bit/s/Hz)."""


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
    from scipy.special import expit

    return np.where(unmet > 0.0, expit((unmet - future) / spread), 0.0)


def by_mean(moment: Moment, rate: float) -> Float64[Array, "users"]:
    """Everyone is expected to go on like the average user: causal, and knows nothing but demands."""
    left = moment.steps_left
    return short_at_end(moment.unmet, rate * left, SPREAD * np.sqrt(left / moment.n_steps))


def expected_satisfaction(moment: Moment, future: Float64[Array, "users"] | float, spread: float) -> float:
    """Share of the total demand that will be satisfied if what is to come is logistic around `future`."""
    short = spread * np.logaddexp(0.0, (moment.unmet - future) / spread)
    return float(1.0 - np.minimum(short, moment.unmet).sum() / moment.demand.sum())
