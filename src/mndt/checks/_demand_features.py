"""What tells one traffic series from another: 27 features, three statistics of a set, and two trained judges.

The list is fixed: it was written down before any generator was tuned against it, and it is published in
docs/demand.md. All features but the peak hour are computed on ``y = log(x + q)`` with q the grain of the table
(`Observed.quantum`), so that the unit of the traffic does not matter beyond the first feature.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

Array = np.ndarray

FEATURES: Final = {
    "level": "mean of y",
    "spread": "standard deviation of y",
    "skewness": "skewness of y",
    "kurtosis": "excess kurtosis of y",
    "low_tail": "5 % quantile of y less its median",
    "high_tail": "95 % quantile of y less its median",
    "minimum": "smallest y less its median",
    "zero_share": "share of slots without any traffic",
    "step_sd": "standard deviation of the first differences d of y",
    "step_kurtosis": "excess kurtosis of d",
    "step_by_level": "correlation of |d| with the mean of the two y it lies between",
    "step_night_to_day": "log ratio of the standard deviations of d at night (0-6 h) and by day (8-22 h)",
    "second_step_ratio": "standard deviation of the second differences of y by that of d",
    "acf_slot": "autocorrelation of y at one slot",
    "acf_2h": "autocorrelation of y at two hours",
    "acf_half_day": "autocorrelation of y at half a day",
    "acf_day": "autocorrelation of y at one day",
    "night_to_day": "mean of y at night (2-6 h) less its mean by day (10-22 h)",
    "evening_to_day": "mean of y in the evening (18-23 h) less its mean by day (8-17 h)",
    "peak_hour": "hour in which the mean day of x is largest",
    "day_sd": "standard deviation of the daily means of y",
    "day_slope": "slope of the daily means of y by day",
    "spectrum_day": "share of the variance of y at the frequencies next to one a day",
    "spectrum_half_day": "share of the variance of y at the frequencies next to two a day",
    "rest_night_to_day": "log ratio of the standard deviations at night and by day of r = y less its mean day",
    "rest_kurtosis": "excess kurtosis of r",
    "rest_acf_slot": "autocorrelation of r at one slot",
}
"""Name and meaning of each feature, in order."""

_TINY = 1e-9


def features(x: Float64[Array, "cells slots"], slots_per_day: int, q: float) -> Float64[Array, "cells features"]:
    """The 27 numbers of `FEATURES` for each series; the first slot begins at midnight."""
    y, n, s = np.log(x + q), x.shape[1], slots_per_day
    hour = (np.arange(n) % s) * 24.0 / s
    d, rest = np.diff(y, axis=1), y - mean_day(y, s)[:, np.arange(n) % s]
    median = np.median(y, axis=1)
    low, high = np.quantile(y, [0.05, 0.95], axis=1)
    middle, hour_d = (y[:, 1:] + y[:, :-1]) / 2, hour[1:]
    days = y[:, : n // s * s].reshape(len(y), -1, s).mean(axis=2)
    index = np.arange(days.shape[1]) - (days.shape[1] - 1) / 2
    columns = [
        y.mean(axis=1), y.std(axis=1), _moment(y, 3), _moment(y, 4) - 3, low - median, high - median,
        y.min(axis=1) - median, (x <= 0).mean(axis=1),
        d.std(axis=1), _moment(d, 4) - 3, _correlation(np.abs(d), middle),
        _log_ratio(d, hour_d), np.diff(d, axis=1).std(axis=1) / (d.std(axis=1) + _TINY),
        acf(y, 1), acf(y, max(1, s // 12)), acf(y, s // 2), acf(y, s),
        _between(y, hour, 2, 6) - _between(y, hour, 10, 22), _between(y, hour, 18, 23) - _between(y, hour, 8, 17),
        mean_day(x, s).argmax(axis=1) * 24.0 / s,
        days.std(axis=1), days @ index / max(float(index @ index), _TINY),
        _spectrum(y, s, 1), _spectrum(y, s, 2),
        _log_ratio(rest, hour), _moment(rest, 4) - 3, acf(rest, 1),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def mean_day(y: Float64[Array, "cells slots"], slots_per_day: int) -> Float64[Array, "cells slots_per_day"]:
    """Mean of each slot of the day."""
    s, n = slots_per_day, y.shape[1]
    return np.stack([y[:, k:n:s].mean(axis=1) for k in range(s)], axis=1)


def acf(y: Float64[Array, "cells slots"], lag: int) -> Float64[Array, "cells"]:
    """Autocorrelation of each series at a lag in slots."""
    z = y - y.mean(axis=1, keepdims=True)
    total = (z * z).mean(axis=1) + _TINY
    return np.asarray((z[:, lag:] * z[:, :-lag]).mean(axis=1) / total)


def step_divergence(a: Float64[Array, "cells slots"], b: Float64[Array, "cells slots"], q: float) -> float:
    """Jensen-Shannon divergence (natural logarithm) of the first differences of y, in bins of 0.1 from -3 to 3."""
    return divergence(np.diff(np.log(a + q), axis=1), np.diff(np.log(b + q), axis=1), np.linspace(-3, 3, 61))


def divergence(a: Array, b: Array, edges: Float64[Array, "edges"]) -> float:
    """Jensen-Shannon divergence of two samples in bins; what lies outside counts in the first and last bin.

    >>> round(divergence(np.zeros(5), np.ones(5), np.array([-0.5, 0.5, 1.5])), 3)
    0.693
    """
    low, high = (edges[0] + edges[1]) / 2, (edges[-1] + edges[-2]) / 2
    p, w = (np.histogram(np.clip(v, low, high), edges)[0] / v.size for v in (a, b))
    m = (p + w) / 2

    def against_mean(one: Array) -> float:
        return float(np.sum(np.where(one > 0, one * np.log(np.where(one > 0, one, 1) / np.where(m > 0, m, 1)), 0)))

    return (against_mean(p) + against_mean(w)) / 2


def nearest_days(
    x: Float64[Array, "cells slots"], train: Float64[Array, "train slots"], slots_per_day: int, q: float
) -> float:
    """Median over the days of `x` of the root mean square distance, in y, to the nearest day of the training cells."""
    a, b = (_days(np.log(v + q), slots_per_day) for v in (x, train))
    square = (b * b).sum(axis=1)
    nearest = [np.sqrt(np.maximum((square - 2 * b @ day).min() + day @ day, 0) / slots_per_day) for day in a]
    return float(np.median(nearest))


def judges(
    real: Float64[Array, "real features"], made: Float64[Array, "made features"], seed: int
) -> tuple[float, float]:
    """Areas under the curve (ROC) of a random forest of 200 trees and of gradient boosting that tell made from real.

    Five-fold cross-validation, stratified; the scores of all held-out fifths are ranked together.
    """
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    table: Float64[Array, "rows features"] = np.concatenate([real, made])
    label: Int64[Array, "rows"] = np.repeat([0, 1], [len(real), len(made)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    found = []
    for judge in (RandomForestClassifier(200, random_state=seed), GradientBoostingClassifier(random_state=seed)):
        score = cross_val_predict(judge, table, label, cv=folds, method="predict_proba")[:, 1]
        found.append(float(roc_auc_score(label, score)))
    return found[0], found[1]


def _days(y: Array, slots_per_day: int) -> Array:
    whole = y.shape[1] // slots_per_day * slots_per_day
    return np.asarray(y[:, :whole].reshape(-1, slots_per_day))


def _moment(y: Array, order: int) -> Array:
    z = y - y.mean(axis=1, keepdims=True)
    return np.asarray((z**order).mean(axis=1) / (np.sqrt((z * z).mean(axis=1)) + _TINY) ** order)


def _correlation(a: Array, b: Array) -> Array:
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return np.asarray((a * b).mean(axis=1) / (a.std(axis=1) * b.std(axis=1) + _TINY))


def _between(y: Array, hour: Array, begin: float, end: float) -> Array:
    inside: Bool[Array, "slots"] = (hour >= begin) & (hour < end)
    return np.asarray(y[:, inside].mean(axis=1))


def _log_ratio(y: Array, hour: Array) -> Array:
    night, day = hour < 6, (hour >= 8) & (hour < 22)
    return np.asarray(np.log((y[:, night].std(axis=1) + 1e-3) / (y[:, day].std(axis=1) + 1e-3)))


def _spectrum(y: Array, slots_per_day: int, a_day: int) -> Array:
    n = y.shape[1] // slots_per_day * slots_per_day
    z = y[:, :n] - y[:, :n].mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(z, axis=1)) ** 2
    k = a_day * n // slots_per_day
    return np.asarray(power[:, k - 1 : k + 2].sum(axis=1) / (power[:, 1:].sum(axis=1) + _TINY))
