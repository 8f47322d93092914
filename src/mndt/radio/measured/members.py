"""The members of the ensemble for cells never measured, from a constant to trees on top of the law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from mndt.radio.measured import law, selection, trees
from mndt.radio.measured.case import Case
from mndt.radio.measured.law import Law

Array = np.ndarray

MEMBERS: Final = ("constant", "log-distance", "trees", "law, plain", "law", "law and trees")
STRENGTHS: Final = (1.0, 0.5, 0.0)
"""Shares of the law's spread that are tried in the contest."""
NO_WORSE: Final = 1.01
"""A correction may leave this much more spread than none."""
CORRECTIONS: Final = 5
"""Rounds of undoing the selection: the second changes slopes by a tenth, the fifth by a hundredth."""


@dataclass(frozen=True)
class Selected:
    """The law with the selection undone, and what it says about the samples as they were selected."""

    plain: Law  # selection ignored
    law: Law
    mean_dbm: Float64[Array, "rows"]  # without what is known of single cells
    rival_dbm: Float64[Array, "rows"]
    surplus_db: Float64[Array, "rows"]
    strength: float  # of the selection: 1 phones report their server, 0 they report every cell they hear


def fit_selected(case: Case, rows: Int64[Array, "chosen"]) -> Selected:
    """Fit the law on some rows, in turns with the contest it implies.

    A link's surplus (see `selection`) is taken off its level, and the law fitted to what remains. Offsets of
    unmeasured cells are zero in the contest. Where that leaves more than ignoring the selection does, phones
    were not reporting their servers alone: then half of the spread takes part in the contest, or none.
    """
    y = case.samples.rsrp_dbm - case.reference_dbm
    cell, weight = case.samples.cell[rows], case.weight[rows]
    plain = law.fit(case.x[rows], y[rows], cell, weight, len(case.cells))
    for strength in STRENGTHS:
        found = _undo(case, rows, y, plain, strength)
        if found.law.sigma_db <= NO_WORSE * plain.sigma_db:
            break
    return found


def _undo(case: Case, rows: Array, y: Array, plain: Law, strength: float) -> Selected:
    n, cell, found = len(case.cells), case.samples.cell, plain
    x, weight = case.x[rows], case.weight[rows]
    for turn in range(CORRECTIONS if strength > 0 else 1):
        level = case.pair_reference_dbm + case.pair_x @ found.coefficient.astype(np.float32)
        level = level.reshape(n, -1) + found.offset_db[:, None]
        mean = found.mean_dbm(case.x, case.links, known=True)
        spread_db = strength * found.sigma_db
        rival = selection.rival_dbm(level, case.contest, cell, case.contest.place, spread_db)
        surplus = selection.surplus_db(mean, rival, spread_db)
        if strength > 0 and turn < CORRECTIONS - 1:
            found = law.fit(x, (y - surplus)[rows], cell[rows], weight, n)
    return Selected(plain, found, found.mean_dbm(case.x, case.links), rival, surplus, strength)


@dataclass(frozen=True)
class Fitted:
    """All members, fitted on some rows."""

    constant_dbm: float
    slope: tuple[float, float]  # log-distance: dB per decade, level at 100 m
    selected: Selected
    trees: Any
    trees_on_law: Any

    def predict(self, case: Case, rows: Int64[Array, "chosen"]) -> Float64[Array, "chosen members"]:
        """Levels that would be reported, one column for each of `MEMBERS`; nothing known of the cells themselves."""
        chosen = self.selected
        plain = chosen.plain.mean_dbm(case.x[rows], case.links.at(rows))
        on_law = plain + trees.ask(self.trees_on_law, on_law_columns(case, chosen, rows))
        return np.column_stack((
            np.full(len(rows), self.constant_dbm),
            np.polyval(self.slope, case.links["log_slant"][rows]),
            trees.ask(self.trees, case.raw[rows]),
            plain,
            chosen.mean_dbm[rows] + chosen.surplus_db[rows],
            on_law,
        ))  # fmt: skip


def on_law_columns(case: Case, chosen: Selected, rows: Int64[Array, "chosen"]) -> Array:
    """Features of the trees on top of the law: physics, the contest, and the place."""
    own, rival = chosen.mean_dbm[rows], chosen.rival_dbm[rows]
    places = case.raw[rows, :2]
    return np.column_stack((
        case.links.values[rows], own, rival, own - rival, 6.0 * np.logaddexp(own / 6.0, rival / 6.0), places,
    )).astype(np.float32)  # fmt: skip


def fit_members(case: Case, rows: Int64[Array, "chosen"], rng: np.random.Generator) -> Fitted:
    """Fit every member on some rows of the case."""
    level, distance = case.samples.rsrp_dbm, case.links["log_slant"].astype(np.float64)
    chosen = fit_selected(case, rows)
    some = rows
    if len(some) > trees.ROWS:
        chance = np.sqrt(case.weight[rows])
        some = np.sort(rng.choice(rows, trees.ROWS, replace=False, p=chance / chance.sum()))
    equal = np.ones(len(some))
    plain = chosen.plain.mean_dbm(case.x[some], case.links.at(some))
    every = np.arange(len(some))
    on_law = trees.grow(on_law_columns(case, chosen, some), level[some] - plain, equal, every, rng)
    slope, start = (
        np.polyfit(distance[rows], level[rows], 1) if np.ptp(distance[rows]) > 0 else (0.0, level[rows].mean())
    )
    return Fitted(
        float(level[rows].mean()), (float(slope), float(start)), chosen,
        trees.grow(case.raw[some], level[some], equal, every, rng), on_law,
    )  # fmt: skip


def blend(predicted: Float64[Array, "rows members"], level_dbm: Float64[Array, "rows"]) -> Float64[Array, "members"]:
    """Weights of the members, none negative, that sum to one and fit predictions of rows they did not see best.

    Stacking (Breiman 1996, doi:10.1007/BF00117832), by non-negative least squares on differences to the first.
    """
    from scipy.optimize import nnls

    first = predicted[:, :1]
    others, rest = predicted[:, 1:] - first, level_dbm - first[:, 0]
    n = np.sqrt(max(len(rest), 1))
    ridge = 0.1 * np.eye(others.shape[1])
    # a heavy row keeps the sum at or below one together with the weight of the first
    weights, _ = nnls(np.vstack((others / n, ridge)), np.append(rest / n, np.zeros(len(ridge))))
    total = max(float(weights.sum()), 1.0)
    weights = weights / total
    return np.append(1.0 - weights.sum(), weights)
