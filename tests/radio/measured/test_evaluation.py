from __future__ import annotations

import numpy as np
import pytest
import small_operator

from mndt.radio.measured import baselines, evaluation
from mndt.radio.measured.case import Case, make_case
from mndt.radio.measured.samples import Samples
from mndt.streams import Streams


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(*small_operator.operator(3000))


def test_no_site_is_on_both_sides(case: Case) -> None:
    fold = evaluation.site_folds(case, Streams(0))
    assert all(len(np.unique(fold[case.site == site])) == 1 for site in np.unique(case.site))
    assert np.bincount(fold).min() > 0.5 * len(case) / evaluation.FOLDS


def test_all_reports_of_a_kept_pixel_go_and_blocks_stay_apart(case: Case) -> None:
    pixel, block = evaluation.keep_away(case, np.arange(len(case)), np.random.default_rng(0))
    assert not (pixel & block).any()
    s = case.samples
    at_block = [tuple(spot) for spot in np.floor(np.column_stack((s.x_m, s.y_m)) / 50.0)]
    assert not {b for b, kept in zip(at_block, block, strict=True) if kept} & {
        b for b, kept in zip(at_block, block, strict=True) if not kept
    }
    assert 0.05 < pixel.mean() < 0.25
    assert 0.05 < block.mean() < 0.25


def test_held_out_levels_do_not_reach_their_own_predictions() -> None:
    """Levels of a site are changed beyond recognition; what is said of it must not move."""
    samples, built, ground = small_operator.operator(700)
    first = make_case(samples, built, ground)
    fold = evaluation.site_folds(first, Streams(0))
    mine = fold == 2
    moved = np.where(mine, -60.0, samples.rsrp_dbm)
    second = make_case(Samples(samples.cell, samples.x_m, samples.y_m, moved), built, ground)
    said = []
    for case in (first, second):
        crossed = evaluation.cross(case, np.arange(len(case)), fold, Streams(0), pairs=True)
        said.append(evaluation.held_out_cells(case, crossed, Streams(0)).predicted["mndt"])
    np.testing.assert_array_equal(said[0][mine], said[1][mine])
    assert np.abs(said[0][~mine] - said[1][~mine]).max() > 1.0


def test_log_distance_with_offsets_is_the_regression_it_says(case: Case) -> None:
    rows = np.arange(len(case))
    found = baselines.log_distance_dbm(case, rows)
    n = len(case.cells)
    seen = np.unique(case.samples.cell)
    x = np.column_stack((case.links["log_slant"], np.eye(n)[case.samples.cell][:, seen])).astype(float)
    best = x @ np.linalg.lstsq(x, case.samples.rsrp_dbm, rcond=None)[0]
    np.testing.assert_allclose(found, best, atol=1e-5)


def test_neighbours_of_the_same_cell_are_averaged(case: Case) -> None:
    known, wanted = np.arange(10, len(case)), np.arange(10)
    guess = np.full(len(case), -90.0)
    found = baselines.neighbours_dbm(case, guess, known, wanted)
    s = case.samples
    for row in wanted:
        mine = known[s.cell[known] == s.cell[row]]
        near = mine[np.argsort(np.hypot(s.x_m[mine] - s.x_m[row], s.y_m[mine] - s.y_m[row]))[:12]]
        assert found[row] == pytest.approx(s.rsrp_dbm[near].mean())
