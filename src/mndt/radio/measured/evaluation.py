"""How good a fit is, on what it never saw: other cells, other pixels, other blocks of 50 m.

Cells are kept away a site at a time: sectors of one mast share position, roof and shadow, and would
tell of each other. Pixels are kept away with the reports of every cell there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mndt.parallel import side_by_side
from mndt.radio.measured import baselines, shadow, trees
from mndt.radio.measured.case import Case
from mndt.radio.measured.members import MEMBERS, Fitted, blend, fit_members
from mndt.radio.measured.shadow import Prediction, Rests, Shadowing
from mndt.streams import Streams

Array = np.ndarray

COVER: Final = 0.9
"""Share of reports that an interval shall hold."""
PIXEL_M: Final = 5.0
BLOCK_M: Final = 50.0
KEPT_SHARE: Final = 0.15
"""Share of pixels, and of blocks, that is kept away."""
FOLDS: Final = 5
FEW: Final = 1000
"""Scores of one kind below which those of pixels and blocks are put together: quantiles need more."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions of rows that no part of a model saw."""

    rows: Int64[Array, "rows"]
    predicted: dict[str, Float64[Array, "rows"]]  # by method, "mndt" is ours
    low_dbm: Float64[Array, "rows"]  # ends of the interval that shall hold `COVER`
    high_dbm: Float64[Array, "rows"]

    def rmse_db(self, level_dbm: Float64[Array, "all"]) -> dict[str, float]:
        """Root mean square error of every method."""
        true = level_dbm[self.rows]
        return {name: float(np.sqrt(np.mean((true - guess) ** 2))) for name, guess in self.predicted.items()}

    def coverage(self, level_dbm: Float64[Array, "all"]) -> float:
        """Share of reports within their interval."""
        true = level_dbm[self.rows]
        return float(np.mean((true >= self.low_dbm) & (true <= self.high_dbm)))


def site_folds(case: Case, streams: Streams, n: int = FOLDS) -> Int64[Array, "rows"]:
    """A fold for every row, the same for all cells of a site, of about equal numbers of rows."""
    sites, count = np.unique(case.site, return_counts=True)
    rng = streams.generator("fit folds")
    fold_of: dict[int, int] = {}
    size = np.zeros(min(n, len(sites)))
    for k in np.argsort(-count * rng.uniform(0.7, 1.3, len(count))):
        fold = int(np.argmin(size))
        fold_of[int(sites[k])] = fold
        size[fold] += count[k]
    return np.array([fold_of[int(s)] for s in case.site], dtype=np.int64)


def rests_of(case: Case, rows: Int64[Array, "rows"], rest_db: Float64[Array, "rows"]) -> Rests:
    """What is left of some rows, with their cells and places."""
    s = case.samples
    return Rests(s.cell[rows], case.site[rows], s.x_m[rows], s.y_m[rows], rest_db)


@dataclass(frozen=True)
class Field:
    """Rests of known rows with the shadowing found in them."""

    given: Rests
    shadowing: Shadowing
    offset_db: Float64[Array, "cells"]
    offset_var: Float64[Array, "cells"]

    def at(self, case: Case, rows: Int64[Array, "rows"]) -> Prediction:
        """Expected rests of some rows."""
        asked = rests_of(case, rows, np.zeros(len(rows)))
        return shadow.predict(asked, self.given, self.shadowing, self.offset_db, self.offset_var)


def field_of(
    case: Case, rows: Int64[Array, "rows"], rest_db: Float64[Array, "rows"], rng: np.random.Generator
) -> Field:
    """Find the shadowing in the rests of some rows."""
    given = rests_of(case, rows, rest_db)
    found = shadow.estimate(given, rng)
    return Field(given, found, *shadow.offsets_db(given, found, case.weight[rows], len(case.cells)))


# --- cells ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crossed:
    """Members fitted without each fold, and without each pair of folds, and what they say of those folds."""

    fold: Int64[Array, "rows"]
    single: tuple[Fitted, ...]  # fitted without fold k
    outer: Float64[Array, "rows members"]  # of each row by the members that saw nothing of its fold
    inner: dict[tuple[int, int], Float64[Array, "some members"]]  # (i, j): rows of j by members without i and j


def cross(case: Case, rows: Int64[Array, "rows"], fold: Array, streams: Streams, *, pairs: bool) -> Crossed:
    """Fit members without each fold of sites (and pair of folds) and let them predict it."""
    n = int(fold.max()) + 1
    tasks: list[tuple[int, ...]] = [(k,) for k in range(n)]
    if pairs:
        tasks += list(combinations(range(n), 2))

    def work(left: tuple[int, ...]) -> tuple[Fitted, list[Array]]:
        learn = rows[~np.isin(fold[rows], left)]
        rng = streams.generator(f"fit members without {left}")
        fitted = fit_members(case, learn, rng)
        asked = np.arange(len(case)) if len(left) == 1 else rows
        return fitted, [fitted.predict(case, asked[fold[asked] == k]) for k in left]

    found = side_by_side(work, tasks, "fitting without some sites", threads=True)
    outer = np.zeros((len(case), len(MEMBERS)))
    inner: dict[tuple[int, int], Array] = {}
    for left, (_, said) in zip(tasks, found, strict=True):
        if len(left) == 1:
            outer[fold == left[0]] = said[0]
        else:
            inner[left[1], left[0]], inner[left[0], left[1]] = said
    return Crossed(fold, tuple(fitted for fitted, _ in found[:n]), outer, inner)


def held_out_cells(case: Case, crossed: Crossed, streams: Streams) -> HeldOut:
    """Every site predicted by models, weights and shadowing of the other sites only."""
    level, fold = case.samples.rsrp_dbm, crossed.fold
    n = int(fold.max()) + 1
    ours, sd, tr = np.zeros(len(case)), np.ones(len(case)), baselines.tr38901_dbm(case)
    for i in range(n):
        mine, others = np.flatnonzero(fold == i), np.flatnonzero(fold != i)
        said = np.zeros((len(case), len(MEMBERS)))
        for j in range(n):
            if j != i:
                said[fold == j] = crossed.inner[i, j]
        weights = blend(said[others], level[others])
        rest = level[others] - said[others] @ weights
        bias = float(rest.mean())
        field = field_of(case, others, rest - bias, streams.generator("fit field", i))
        found = field.at(case, mine)
        ours[mine], sd[mine] = crossed.outer[mine] @ weights + bias + found.mean_db, found.sd_db
        tr[mine] += float(np.mean(level[others] - tr[others]))
    low, high = np.zeros(len(case)), np.zeros(len(case))
    score = (level - ours) / sd
    for i in range(n):
        mine = fold == i
        low[mine], high[mine] = _ends(score[~mine] if n > 1 else score, ours[mine], sd[mine])
    columns = {name: crossed.outer[:, k] for k, name in enumerate(MEMBERS)}
    return HeldOut(np.arange(len(case)), {**columns, "TR 38.901": tr, "mndt": ours}, low, high)


def _ends(score: Array, mean: Array, sd: Array) -> tuple[Array, Array]:
    """Interval from the quantiles of scores of rows that were held out elsewhere (cross-conformal)."""
    low, high = np.quantile(score, [0.5 - COVER / 2, 0.5 + COVER / 2])
    return mean + low * sd, mean + high * sd


# --- pixels -----------------------------------------------------------------------------------------


def keep_away(
    case: Case, rows: Int64[Array, "rows"], rng: np.random.Generator
) -> tuple[Bool[Array, "r"], Bool[Array, "r"]]:
    """Choose blocks, and pixels outside these blocks, out of some rows; all cells' reports there go with them."""
    s = case.samples.at(rows)
    blocks = _squares(s.x_m, s.y_m, BLOCK_M)
    in_block = _some(blocks, rng)
    pixels = _squares(s.x_m, s.y_m, PIXEL_M)
    return _some(pixels, rng) & ~in_block, in_block


def _some(square: Int64[Array, "rows"], rng: np.random.Generator) -> Bool[Array, "rows"]:
    """Rows of a share of the squares, of one at least."""
    n = int(square.max()) + 1
    return np.asarray((rng.permutation(n) < max(1, round(KEPT_SHARE * n)))[square])


def _squares(x_m: Array, y_m: Array, edge_m: float) -> Int64[Array, "rows"]:
    at = np.column_stack((np.floor(x_m / edge_m), np.floor(y_m / edge_m)))
    return np.unique(at, axis=0, return_inverse=True)[1].reshape(-1)


def held_out_pixels(case: Case, fold: Array, streams: Streams) -> dict[str, HeldOut]:
    """Pixels and blocks predicted by models that saw no report there; "pixels" and "blocks"."""
    level = case.samples.rsrp_dbm
    pixel, block = keep_away(case, np.arange(len(case)), streams.generator("fit pixels"))
    known = np.flatnonzero(~pixel & ~block)
    crossed = cross(case, known, fold, streams, pairs=False)
    weights = blend(crossed.outer[known], level[known])
    mean = crossed.outer @ weights
    mean += float(np.mean(level[known] - mean[known]))
    field = field_of(case, known, level[known] - mean[known], streams.generator("fit field", 100))
    scores = _scores(case, known, mean, streams)
    others = _pixel_baselines(case, known, streams)
    out = {}
    for name, wanted in (("pixels", np.flatnonzero(pixel)), ("blocks", np.flatnonzero(block))):
        found = field.at(case, wanted)
        ours = mean[wanted] + found.mean_db
        guess = {key: values[wanted] for key, values in others.items()}
        base = others["log-distance + cell offset"]
        guess["12 nearest neighbours"] = baselines.neighbours_dbm(case, base, known, wanted)
        low, high = _ends(scores[name], ours, found.sd_db)
        out[name] = HeldOut(wanted, {**guess, "mndt": ours}, low, high)
    return out


def _scores(case: Case, known: Array, mean: Array, streams: Streams) -> dict[str, Array]:
    """Errors over their standard deviation on pixels and blocks kept away once more, within the known rows."""
    level, rng = case.samples.rsrp_dbm, streams.generator("fit scores")
    pixel, block = keep_away(case, known, rng)
    learn = known[~pixel & ~block]
    field = field_of(case, learn, level[learn] - mean[learn], rng)
    out = {}
    for name, chosen in (("pixels", pixel), ("blocks", block)):
        rows = known[chosen]
        rows = rng.choice(rows, min(20_000, len(rows)), replace=False)
        found = field.at(case, rows)
        out[name] = (level[rows] - mean[rows] - found.mean_db) / found.sd_db
    few = min(len(score) for score in out.values()) < FEW
    return {name: np.concatenate(list(out.values())) if few else score for name, score in out.items()}


def _pixel_baselines(case: Case, known: Array, streams: Streams) -> dict[str, Array]:
    level = case.samples.rsrp_dbm
    base = baselines.log_distance_dbm(case, known)
    grown = trees.grow(
        case.raw, level, np.ones(len(case)), known, streams.generator("fit pixel trees"), most=120_000, fine=True
    )
    away = np.setdiff1d(np.arange(len(case)), known)
    by_trees = np.zeros(len(case))
    by_trees[away] = trees.ask(grown, case.raw[away])
    return {
        "constant": np.full(len(case), level[known].mean()),
        "log-distance + cell offset": base,
        "TR 38.901 + cell offset": baselines.with_cell_offsets(case, baselines.tr38901_dbm(case), known),
        "trees": by_trees,
    }


def names_of(results: Sequence[HeldOut]) -> list[str]:
    """Methods of several results, each once, in order."""
    return list(dict.fromkeys(name for result in results for name in result.predicted))
