"""What is left of traffic beyond its mean day: how large it is at which level, how long it lasts, in which mode.

Of a series of logarithms ``y_t = l_t + g_t u_t`` with the mean day l, g is the size of the rest and u its course:

    ln g_t^2 = a - b (l_t - mean of l) + h_t                        size by level; h_t for all places, by slot of day
    u_t = sqrt(1 - w) e_t + sqrt(w) f_t                             a short and a slow AR(1), each of variance one
    e_t = r e_t-1 + sqrt(1 - r^2) i_t                               r by place, and more or less by slot of the day
    i_t = sqrt(1 - d) n_t + sqrt(d) c_t,   n_t ~ N(m_k, s_k^2)      k the mode of the slot
    c_t = p c_t-day + sqrt(1 - p^2) noise                           yesterday's departures come back in part

b = 1 is the law of independent users: their number goes with the level, and relative noise with its inverse.
Modes follow a two-state chain whose chance of being lively depends on the slot of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.users.demand.shapes import around_the_day

Array = np.ndarray

SLOW_H: Final = 16.0
"""Time constant of the slow part; the data tell it from a day or a quarter of one, not finer."""
DAY_AGAIN: Final = 0.6
"""p: correlation from day to day of the part that comes back."""
RIDGE: Final = 0.5
"""Weight, in squared logarithms, with which the slope b is drawn to zero where a day is flat."""


@dataclass(frozen=True)
class Modes:
    """Ordinary and lively slots; the numbers are such that innovations have mean 0 and variance 1."""

    shift: Float64[Array, "2"]
    scale: Float64[Array, "2"]
    share: Float64[Array, "slots"]  # of lively places by slot of the day
    stay: float  # correlation of the mode from slot to slot

    def draw(self, n: int, slots: int, rng: np.random.Generator) -> Float64[Array, "n slots"]:
        """Innovations; the first slot begins at midnight."""
        share = self.share[np.arange(slots) % len(self.share)]
        lively = np.empty((n, slots), dtype=bool)
        u = rng.random((n, slots))
        lively[:, 0] = u[:, 0] < share[0]
        for t in range(1, slots):
            lively[:, t] = u[:, t] < share[t] * (1 - self.stay) + self.stay * lively[:, t - 1]
        k = lively.astype(np.int8)
        return np.asarray(self.shift[k] + self.scale[k] * rng.standard_normal((n, slots)))


def size_law(
    rest: Float64[Array, "series slots"],
    day: Float64[Array, "series slots_per_day"],
    course: Float64[Array, "slots_per_day"],
    half_window: int,
) -> tuple[Float64[Array, "series"], Float64[Array, "series"]]:
    """a of the steps from slot to slot, half their variance, and b of each series.

    By regression of the logarithm of the variance on the level. Steps obey the law of the level more closely than
    the rest itself, which lasts longer at some places than at others; `whole` gives a of the rest.
    """
    s = day.shape[1]
    step = np.diff(rest, axis=1, prepend=rest[:, :1]) / np.sqrt(2.0)
    variance = np.stack([np.square(step[:, k::s]).mean(axis=1) for k in range(s)], axis=1)
    log_variance = np.log(around_the_day(variance, half_window) + 1e-4) - course
    level = around_the_day(day, half_window)
    level = level - level.mean(axis=1, keepdims=True)
    a = log_variance.mean(axis=1)
    b = -((log_variance - a[:, None]) * level).sum(axis=1) / ((level**2).sum(axis=1) + RIDGE)
    return a, b


def whole(a_step: Float64[Array, "series"], correlation: Float64[Array, "series"]) -> Float64[Array, "series"]:
    """a of the rest: half the variance of steps is its variance times one less the correlation of neighbours."""
    return np.asarray(a_step - np.log(1.0 - np.clip(correlation, -0.2, 0.9)))


def sizes(
    a: Float64[Array, "series"],
    b: Float64[Array, "series"],
    day: Float64[Array, "series slots_per_day"],
    course: Float64[Array, "slots_per_day"],
) -> Float64[Array, "series slots_per_day"]:
    """g of each series by slot of the day."""
    level = day - day.mean(axis=1, keepdims=True)
    return np.asarray(np.exp(0.5 * np.clip(a[:, None] - b[:, None] * level + course, -8.0, 2.0)))


def by_level(law: Float64[Array, "2"], day: Float64[Array, "series slots_per_day"]) -> Float64[Array, "series"]:
    """What a is expected to be at the mean level of each place."""
    return np.asarray(law[0] + law[1] * day.mean(axis=1))


def memory_course(u: Float64[Array, "series slots"], slots_per_day: int, half_window: int) -> Array:
    """By how much the correlation of neighbouring slots departs from its mean, by slot of the day."""
    slot = np.arange(1, u.shape[1]) % slots_per_day
    both = (u[:, 1:] * u[:, :-1]).mean(axis=0)
    square = (u * u).mean(axis=0)
    top, first, second = (np.bincount(slot, v, slots_per_day) for v in (both, square[1:], square[:-1]))
    around = [around_the_day(v, half_window) for v in (top, first, second)]
    course = around[0] / np.sqrt(around[1] * around[2])
    return np.asarray(course - course.mean())


def memory(
    rest: Float64[Array, "series slots"], u: Float64[Array, "series slots"], slot_s: int
) -> Float64[Array, "series 2"]:
    """Autocorrelation of the rest at one slot, and of u, on average, between two and six hours."""
    late = range(max(2, 7200 // slot_s), max(3, 21600 // slot_s + 1), max(1, 3600 // slot_s))
    return np.stack([acf(rest, 1), np.mean([acf(u, k) for k in late], axis=0)], axis=1)


def acf(u: Float64[Array, "series slots"], lag: int) -> Float64[Array, "series"]:
    """Autocorrelation of each series at a lag in slots."""
    z = u - u.mean(axis=1, keepdims=True)
    return np.asarray((z[:, lag:] * z[:, :-lag]).mean(axis=1) / ((z * z).mean(axis=1) + 1e-9))


def parts(
    correlation: Float64[Array, "series 2"], slot_s: int
) -> tuple[Float64[Array, "series"], Float64[Array, "series"]]:
    """r and w that give these autocorrelations: the late one is the slow part's alone."""
    slow = slow_memory(slot_s)
    w = np.clip(correlation[:, 1] * np.exp(4.0 / SLOW_H), 0.02, 0.95)
    return np.clip((correlation[:, 0] - w * slow) / (1 - w), -0.3, 0.95), w


def slow_memory(slot_s: int) -> float:
    """Correlation of the slow part from slot to slot."""
    return float(np.exp(-slot_s / 3600.0 / SLOW_H))


@dataclass(frozen=True)
class Memory:
    """How long the short part lasts, for all places."""

    course: Float64[Array, "slots_per_day"]  # added to r by slot of the day
    again: float  # d, the share of innovations that comes back the next day


def draw_rest(
    correlation: Float64[Array, "series 2"],
    slots: int,
    slot_s: int,
    modes: Modes,
    keeps: Memory,
    rng: np.random.Generator,
) -> Float64[Array, "series slots"]:
    """u of each series, stationary from the first slot on."""
    n, slow, s = len(correlation), slow_memory(slot_s), len(keeps.course)
    before = 4 * s  # whole days, so that slots of the day stay in step
    r, w = parts(correlation, slot_s)
    c = rng.standard_normal((n, before + slots))
    for t in range(s, before + slots):
        c[:, t] = DAY_AGAIN * c[:, t - s] + np.sqrt(1 - DAY_AGAIN**2) * c[:, t]
    e = np.sqrt(1 - keeps.again) * modes.draw(n, before + slots, rng) + np.sqrt(keeps.again) * c
    f = rng.standard_normal((n, before + slots))
    by_slot = np.clip(r[:, None] + keeps.course / np.maximum(1 - w[:, None], 0.3), -0.3, 0.95)
    turn = np.sqrt(1 - by_slot * by_slot)
    for t in range(1, before + slots):
        k = t % s
        e[:, t] = by_slot[:, k] * e[:, t - 1] + turn[:, k] * e[:, t]
        f[:, t] = slow * f[:, t - 1] + np.sqrt(1 - slow * slow) * f[:, t]
    return np.asarray((np.sqrt(1 - w)[:, None] * e + np.sqrt(w)[:, None] * f)[:, before:])


def fit_modes(u: Float64[Array, "series slots"], slots_per_day: int, half_window: int, rounds: int = 60) -> Modes:
    """Two normal laws of the innovations by expectation and maximisation, and when each holds."""
    z = u - u.mean(axis=1, keepdims=True)
    r = (z[:, 1:] * z[:, :-1]).sum(axis=1) / ((z * z).sum(axis=1) + 1e-9)
    i = z[:, 1:] - r[:, None] * z[:, :-1]
    i = i / (i.std(axis=1, keepdims=True) + 1e-9)
    share, shift, scale = np.full(slots_per_day, 0.2), np.zeros(2), np.array([0.9, 1.6])
    slot = np.arange(1, u.shape[1]) % slots_per_day
    lively = np.zeros_like(i)
    for _ in range(rounds):
        plain, other = (np.exp(-0.5 * np.square((i - m) / s)) / s for m, s in zip(shift, scale, strict=True))
        prior = share[slot]
        lively = prior * other / (prior * other + (1 - prior) * plain + 1e-300)
        by_slot = np.bincount(slot, lively.mean(axis=0), slots_per_day) / np.bincount(slot, minlength=slots_per_day)
        share = np.clip(around_the_day(by_slot, half_window), 0.02, 0.5)
        for k, weight in enumerate((1 - lively, lively)):
            shift[k] = np.average(i, weights=weight)
            scale[k] = max(0.3, np.sqrt(np.average(np.square(i - shift[k]), weights=weight)))
    z = lively - lively.mean()
    stay = float(np.clip((z[:, 1:] * z[:, :-1]).mean() / (z * z).mean(), 0.0, 0.9))
    return standard_modes(shift, scale, share, stay)


def standard_modes(shift: Array, scale: Array, share: Array, stay: float) -> Modes:
    """Modes with mean 0 and variance 1 over the day."""
    p = float(share.mean())
    shift = shift - ((1 - p) * shift[0] + p * shift[1])
    variance = (1 - p) * (shift[0] ** 2 + scale[0] ** 2) + p * (shift[1] ** 2 + scale[1] ** 2)
    return Modes(shift / np.sqrt(variance), scale / np.sqrt(variance), share, stay)
