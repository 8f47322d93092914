from __future__ import annotations

import numpy as np
import pytest
import small_operator
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.radio.measured import selection
from mndt.radio.measured.samples import MeasuredCells


@pytest.mark.parametrize("gap_db", [-15.0, -5.0, 0.0, 8.0, 30.0])
def test_surplus_is_the_mean_of_levels_that_won(gap_db: float) -> None:
    rng = np.random.default_rng(0)
    sigma = 7.0
    own = rng.normal(gap_db, sigma, 4_000_000)
    rival = rng.normal(0.0, np.sqrt(sigma**2 + selection.ATTACH_DB**2), len(own))
    won = own[own > rival]
    found = selection.surplus_db(np.array([gap_db]), np.array([0.0]), sigma)[0]
    assert found == pytest.approx(won.mean() - gap_db, abs=6 * sigma / np.sqrt(len(won)) + 1e-3)


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(1, 12))
def test_surplus_is_positive_and_falls_with_the_lead(mean: float, rival: float, sigma: float) -> None:
    here, ahead = selection.surplus_db(np.array([mean, mean + 1.0]), np.array([rival, rival]), sigma)
    assert np.isfinite(here)
    assert here >= ahead >= 0.0


def _cells(carriers: list[float]) -> MeasuredCells:
    base = small_operator.cells(3)
    rows = np.arange(len(carriers))
    columns = {key: value[rows] for key, value in vars(base).items() if key != "name"}
    return MeasuredCells(**{**columns, "name": base.name[: len(rows)], "carrier_ghz": np.array(carriers)})


def test_rivals_are_other_cells_of_the_same_carrier() -> None:
    samples, _, _ = small_operator.operator(50)
    field = selection.contest(samples, _cells([2.0, 2.0, 3.5, 3.5]))
    n = len(field.x_m)
    mean = np.repeat(np.array([[-80.0], [-90.0], [-70.0], [-120.0]]), n, axis=1)
    cell = np.array([0, 1, 2, 3], np.int32)
    found = selection.rival_dbm(mean, field, cell, np.zeros(4, int), 1.0)
    np.testing.assert_allclose(found, [-90.0, -80.0, -120.0, -70.0], atol=1e-6)


def test_a_cell_alone_has_no_rival() -> None:
    samples, _, _ = small_operator.operator(50)
    field = selection.contest(samples, _cells([2.0, 3.5]))
    found = selection.rival_dbm(np.full((2, len(field.x_m)), -80.0), field, np.array([0]), np.zeros(1, int), 6.0)
    assert selection.surplus_db(np.array([-80.0]), found, 6.0)[0] == pytest.approx(0.0, abs=1e-9)


def test_rivals_of_gumbel_levels_have_the_mean_of_the_largest() -> None:
    rng = np.random.default_rng(1)
    samples, _, _ = small_operator.operator(20)
    field = selection.contest(samples, _cells([2.0] * 6))
    mean = np.repeat(np.array([-80.0, -84.0, -85.0, -90.0, -95.0, -83.0])[:, None], len(field.x_m), axis=1)
    g = 6.0 * np.sqrt(6.0) / np.pi
    draws = mean[1:, :1] + rng.gumbel(-0.5772156649 * g, g, (5, 400_000))
    found = selection.rival_dbm(mean, field, np.array([0]), np.zeros(1, int), 6.0)[0]
    assert found == pytest.approx(draws.max(axis=0).mean(), abs=0.06)


def test_the_contest_stays_within_its_size() -> None:
    samples, built, _ = small_operator.operator(3000)
    field = selection.contest(samples, built, pairs=2000)
    assert len(field.x_m) * len(built) <= 2000
    assert field.place.max() == len(field.x_m) - 1
    cell, x, y = field.pairs()
    assert len(cell) == len(x) == len(y) == len(field.x_m) * len(built)
