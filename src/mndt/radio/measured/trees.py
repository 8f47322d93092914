"""Gradient-boosted trees (scikit-learn) on a sample of the rows, shy of single cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

Array = np.ndarray

ROWS = 40_000
"""Rows that trees are grown on; more of the same cells teach little about other cells."""


def grow(
    x: Float[Array, "rows columns"],
    y: Float[Array, "rows"],
    weight: Float[Array, "rows"],
    rows: Int[Array, "chosen"],
    rng: np.random.Generator,
    *,
    most: int = ROWS,
    fine: bool = False,
) -> Any:
    """Trees that predict y from x.

    Args:
        x, y: all rows of the case.
        weight: how independent a row is: rows of crowded blocks are drawn less often (square root).
        rows: the ones to learn from.
        rng: draws the rows.
        most: how many at most.
        fine: many leaves, for places between known ones; else few, which hold for other cells too.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    if len(rows) > most:
        chance = np.sqrt(weight[rows])
        rows = np.sort(rng.choice(rows, most, replace=False, p=chance / chance.sum()))
    # few rows are soon learnt, and then learnt by heart
    turns = int(np.clip(len(rows) // 40, 30, 250 if fine else 160))
    shape = {
        "max_iter": turns,
        "learning_rate": 0.08,
        "max_leaf_nodes": 48,
        "min_samples_leaf": 15,
        "max_features": 0.6,
    }
    if not fine:
        least = int(np.clip(len(rows) // 150, 5, 150))
        shape |= {"learning_rate": 0.06, "max_leaf_nodes": 16, "min_samples_leaf": least}
        shape |= {"max_features": 0.4, "l2_regularization": 20.0}
    seed = int(rng.integers(2**31))
    # one thread each: threads that wait for each other are slow where processors are shared
    with threadpool_limits(1, user_api="openmp"):
        return HistGradientBoostingRegressor(**shape, random_state=seed, early_stopping=False).fit(x[rows], y[rows])


def ask(trees: Any, x: Float[Array, "rows columns"]) -> Float[Array, "rows"]:
    """What the trees say, on one thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(trees.predict(x))
