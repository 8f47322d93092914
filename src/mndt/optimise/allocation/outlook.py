"""What is ahead of a user: how well others were heard where he is going.

A network that mirrors where its users are sees each of them move, and has measured every place that any of them
passed. So it need not know the future: a user is taken to go on as he went in the last steps, and how well he
will be heard there is what was measured there, averaged over places of 20 m and, where few have been, over larger
ones. Nothing is known in the first step but the present.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int64

from mndt.optimise.allocation.problem import Moment

Array = np.ndarray

PLACES_M: Final = (400.0, 80.0, 20.0)
"""Sides of the squares that measurements are averaged over, each larger one standing in for those within it."""
TRUST: Final = 2.0
"""Measurements that count as much as the mean of the larger square."""
STRIDES: Final = 4
"""Steps over which a user's velocity is taken."""
COLUMNS: Final = 5
"""Of what an `Outlook` returns."""


def heard(moment: Moment) -> Float64[Array, "users"]:
    """bit/s/Hz from the best cell if all cells sent at full power on everything.

    Args:
        moment: only gains and limits are looked at.
    """
    limits = moment.limits
    best_w = np.max(moment.gain * limits.power_w, axis=1).astype(np.float64)
    rest_w = moment.gain.astype(np.float64) @ limits.power_w - best_w
    found: Array = np.log2(1.0 + best_w / (np.maximum(rest_w, 0.0) + limits.noise_w * limits.n_blocks))
    return found


class Measured:
    """Means by square, from all that was measured so far, in m from a corner."""

    def __init__(self, corner_m: Float64[Array, "2 1"], side_m: float) -> None:
        self.corner_m, self.counts = corner_m, [int(side_m // place_m) + 1 for place_m in PLACES_M]
        self.total, self.number = ([np.zeros(count * count) for count in self.counts] for _ in range(2))

    def add(self, position_m: Float64[Array, "2 users"], value: Float64[Array, "users"]) -> None:
        """What was measured where."""
        for level, count in enumerate(self.counts):
            square = self._square(position_m, level)
            self.total[level] += np.bincount(square, value, count * count)
            self.number[level] += np.bincount(square, minlength=count * count)

    def at(self, position_m: Float64[Array, "2 places"]) -> Float64[Array, "places"]:
        """The expected value; places beyond the border are taken to be at it."""
        value = np.full(position_m.shape[1], self.total[0].sum() / max(self.number[0].sum(), 1.0))
        for level in range(len(PLACES_M)):
            square = self._square(position_m, level)
            value = (self.total[level][square] + TRUST * value) / (self.number[level][square] + TRUST)
        return value

    def _square(self, position_m: Float64[Array, "2 places"], level: int) -> Int64[Array, "places"]:
        count = self.counts[level]
        row, column = np.clip(((position_m - self.corner_m) / PLACES_M[level]).astype(np.int64), 0, count - 1)
        return np.asarray(row * count + column)


class Outlook:
    """Remembers an episode: where everyone was, and how well he was heard. Call it once in every step, in order."""

    def __init__(self) -> None:
        self._measured: Measured | None = None
        self._past_m: deque[Float64[Array, "2 users"]] = deque(maxlen=STRIDES + 1)

    def __call__(self, moment: Moment) -> Float32[Array, "users columns"]:
        """Now, mean and best fifth of what is to come, how much better that mean is, and whether it is unknown.

        Args:
            moment: the state; without positions nothing is known of the future.
        """
        now = heard(moment)
        future = self._future(moment, now)
        if future is None:
            mean = best = now
        else:
            mean, best = future.mean(axis=0), np.quantile(future, 0.8, axis=0, method="lower")
        unknown = np.full(len(now), float(future is None))
        columns = (now / 3.0 - 0.5, mean / 3.0 - 0.5, best / 3.0 - 0.5, (mean - now) / 2.0, unknown)
        return np.column_stack(columns).astype(np.float32)

    def _future(self, moment: Moment, now: Float64[Array, "users"]) -> Float64[Array, "steps users"] | None:
        """Of all steps after this one; None where it is unknown or there is none."""
        if moment.position_m is None:
            return None
        here_m = moment.position_m.astype(np.float64)
        if self._measured is None or moment.step == 0:
            corner_m = here_m.min(axis=1, keepdims=True)
            self._measured = Measured(corner_m, float((here_m - corner_m).max()))
            self._past_m.clear()
        self._measured.add(here_m, now)
        self._past_m.append(here_m)
        after = moment.steps_left - 1
        if len(self._past_m) < 2 or after == 0:
            return None
        stride_m = (here_m - self._past_m[0]) / (len(self._past_m) - 1)
        ahead_m = here_m[:, None] + np.arange(1, after + 1)[:, None] * stride_m[:, None]
        return self._measured.at(ahead_m.reshape(2, -1)).reshape(after, -1)
