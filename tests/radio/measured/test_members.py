from __future__ import annotations

import numpy as np
import pytest
import small_operator
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.radio.measured import law
from mndt.radio.measured.case import make_case
from mndt.radio.measured.features import Surroundings, links
from mndt.radio.measured.law import TERMS
from mndt.radio.measured.members import MEMBERS, blend, fit_members, fit_selected
from mndt.streams import Streams

SLOPE = [term.name for term in TERMS].index("los_slope_db")


def test_the_slope_is_found_although_phones_report_their_server() -> None:
    samples, built, ground = small_operator.operator(8000, slope_db=-20.0, spread_db=8.0)
    case = make_case(samples, built, ground)
    found = fit_selected(case, np.arange(len(case)))
    ignored, corrected = found.plain.coefficient[SLOPE], found.law.coefficient[SLOPE]
    assert ignored > -15.0  # far too flat
    assert found.strength == 1.0
    assert abs(corrected + 20.0) < 0.7 * abs(ignored + 20.0)


def test_levels_of_cells_that_do_not_serve_are_foretold() -> None:
    samples, built, ground = small_operator.operator(8000, spread_db=8.0)
    case = make_case(samples, built, ground)
    found = fit_selected(case, np.arange(len(case)))
    rng = np.random.default_rng(9)
    x, y = rng.uniform(0, small_operator.SIDE_M, (2, 1500))
    everywhere = small_operator.levels(built, x, y, -20.0)
    cell = rng.integers(0, len(built), 1500).astype(np.int32)
    asked = links(cell, x, y, built, Surroundings(ground))
    true = everywhere[np.arange(1500), cell]
    bias = {
        name: np.mean(fitted.mean_dbm(law.design(asked), asked) - true)
        for name, fitted in (("ignored", found.plain), ("corrected", found.law))
    }
    assert bias["ignored"] > 10.0
    assert abs(bias["corrected"]) < 0.6 * bias["ignored"]


def test_where_phones_report_every_cell_nothing_is_corrected() -> None:
    samples, built, ground = small_operator.operator(6000, best_server=False)
    case = make_case(samples, built, ground)
    found = fit_selected(case, np.arange(len(case)))
    assert found.strength == 0.0
    assert found.law is found.plain
    assert found.law.coefficient[SLOPE] == pytest.approx(-20.0, abs=1.5)
    assert not found.surplus_db.any()


def test_members_say_something_finite_and_trees_on_the_law_win() -> None:
    samples, built, ground = small_operator.operator(3000)
    case = make_case(samples, built, ground)
    first = np.flatnonzero(case.site < 6)
    others = np.flatnonzero(case.site >= 6)
    fitted = fit_members(case, first, Streams(0).generator("test"))
    said = fitted.predict(case, others)
    assert said.shape == (len(others), len(MEMBERS))
    assert np.isfinite(said).all()
    error = np.sqrt(np.mean((said - samples.rsrp_dbm[others, None]) ** 2, axis=0))
    assert error[MEMBERS.index("law")] < error[MEMBERS.index("log-distance")] < error[MEMBERS.index("constant")]


def test_what_was_left_out_has_no_say() -> None:
    samples, built, ground = small_operator.operator(1500)
    case = make_case(samples, built, ground)
    first = np.flatnonzero(case.site < 6)
    moved = samples.rsrp_dbm.copy()
    moved[case.site >= 6] = -60.0
    other = make_case(type(samples)(samples.cell, samples.x_m, samples.y_m, moved), built, ground)
    asked = np.flatnonzero(case.site >= 6)
    said = [fit_members(c, first, Streams(0).generator("test")).predict(c, asked) for c in (case, other)]
    np.testing.assert_array_equal(*said)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_blending_weights_sum_to_one_and_are_never_negative(seed: int, members: int) -> None:
    rng = np.random.default_rng(seed)
    said = rng.normal(-90, 8, (60, members + 1))
    weights = blend(said, rng.normal(-90, 8, 60))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= -1e-12).all()


def test_the_best_member_gets_the_weight() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-90, 10, 4000)
    said = np.column_stack((np.full(4000, -90.0), true + rng.normal(0, 12, 4000), true + rng.normal(0, 2, 4000)))
    assert blend(said, true)[2] > 0.9
