"""What is left of traffic beyond its mean day: how large it is at which level, how long it lasts, in which mode.

Of a series of logarithms ``y_t = l_t + g_t u_t`` with the mean day l, g is the size of the rest and u its course:

    ln g_t^2 = a - b (l_t - mean of l) + h_t                        size by level; h_t for all places, by slot of day
    u_t = sqrt(1 - w) e_t + sqrt(w) f_t                             a short and a slow AR(1), each of variance one
    e_t = r e_t-1 + sqrt(1 - r^2) i_t,   i_t ~ N(m_k, s_k^2)        k the mode of the slot

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
    """a and b of each series, by regression of the logarithm of the variance on the level."""
    s = day.shape[1]
    variance = np.stack([(rest[:, k::s] ** 2).mean(axis=1) for k in range(s)], axis=1)
    log_variance = np.log(around_the_day(variance, half_window) + 1e-4) - course
    level = around_the_day(day, half_window)
    level = level - level.mean(axis=1, keepdims=True)
    a = log_variance.mean(axis=1)
    b = -((log_variance - a[:, None]) * level).sum(axis=1) / ((level**2).sum(axis=1) + RIDGE)
    return a, b


def sizes(
    a: Float64[Array, "series"],
    b: Float64[Array, "series"],
    day: Float64[Array, "series slots_per_day"],
    course: Float64[Array, "slots_per_day"],
) -> Float64[Array, "series slots_per_day"]:
    """g of each series by slot of the day."""
    level = day - day.mean(axis=1, keepdims=True)
    return np.asarray(np.exp(0.5 * np.clip(a[:, None] - b[:, None] * level + course, -8.0, 2.0)))


def memory(u: Float64[Array, "series slots"], slot_s: int) -> Float64[Array, "series 2"]:
    """Autocorrelation of u at one slot, and its mean between two and six hours."""
    late = range(max(2, 7200 // slot_s), max(3, 21600 // slot_s + 1), max(1, 3600 // slot_s))
    z = u - u.mean(axis=1, keepdims=True)
    total = (z * z).mean(axis=1) + 1e-9
    acf = [(z[:, k:] * z[:, :-k]).mean(axis=1) / total for k in (1, *late)]
    return np.stack([acf[0], np.mean(acf[1:], axis=0)], axis=1)


def parts(acf: Float64[Array, "series 2"], slot_s: int) -> tuple[Float64[Array, "series"], Float64[Array, "series"]]:
    """r and w that give these autocorrelations: the late one is the slow part's alone."""
    slow = slow_memory(slot_s)
    w = np.clip(acf[:, 1] * np.exp(4.0 / SLOW_H), 0.02, 0.95)
    return np.clip((acf[:, 0] - w * slow) / (1 - w), -0.3, 0.95), w


def slow_memory(slot_s: int) -> float:
    """Correlation of the slow part from slot to slot."""
    return float(np.exp(-slot_s / 3600.0 / SLOW_H))


def draw_rest(
    acf: Float64[Array, "series 2"], slots: int, slot_s: int, modes: Modes, rng: np.random.Generator
) -> Float64[Array, "series slots"]:
    """u of each series, stationary from the first slot on."""
    n, slow = len(acf), slow_memory(slot_s)
    before = int(np.ceil(24 * 3600 / slot_s)) * 4  # whole days, so that slots of the day stay in step
    r, w = parts(acf, slot_s)
    e = modes.draw(n, before + slots, rng)
    f = rng.standard_normal((n, before + slots))
    turn_e, turn_f = np.sqrt(1 - r * r), np.sqrt(1 - slow * slow)
    for t in range(1, before + slots):
        e[:, t] = r * e[:, t - 1] + turn_e * e[:, t]
        f[:, t] = slow * f[:, t - 1] + turn_f * f[:, t]
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
