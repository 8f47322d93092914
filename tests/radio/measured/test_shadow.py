from __future__ import annotations

import numpy as np
import pytest

from mndt.radio.measured import shadow
from mndt.radio.measured.shadow import LENGTHS_M, Rests, Shadowing
from mndt.radio.shadowing import unit_field


def _rests(
    n: int = 6000, *, common_db: float = 4.0, cell_db: float = 5.0, noise_db: float = 3.0
) -> tuple[Rests, Rests]:
    """Rests of a field common to all cells and one of each of six cells (two a site); a tenth to predict."""
    rng = np.random.default_rng(3)
    shared = common_db * unit_field(200, 200, 4.0, 30.0, rng)
    fields = np.stack([cell_db * unit_field(200, 200, 4.0, 75.0, rng) for _ in range(6)])
    row, col, cell = rng.integers(0, 200, n), rng.integers(0, 200, n), rng.integers(0, 6, n)
    value = shared[row, col] + fields[cell, row, col] + rng.normal(0, noise_db, n)
    columns = cell.astype(np.int32), (cell // 2).astype(np.int32), 4.0 * col + 2.0, 4.0 * row + 2.0, value
    some = np.arange(n) < n // 10
    return Rests(*(v[~some] for v in columns)), Rests(*(v[some] for v in columns))


def test_layers_and_noise_are_told_apart() -> None:
    given, _ = _rests()
    found = shadow.estimate(given, np.random.default_rng(0))
    assert found.common.sum() == pytest.approx(16.0, rel=0.5)
    assert found.site.sum() < 8.0  # there is none
    assert found.cell.sum() + found.offset == pytest.approx(25.0, rel=0.5)
    assert found.total == pytest.approx(50.0, rel=0.25)
    assert found.nugget < 16.0


def test_predictions_are_better_than_nearest_neighbours_and_their_spread_is_true() -> None:
    given, asked = _rests()
    found = shadow.estimate(given, np.random.default_rng(0))
    none, one = np.zeros(6), np.full(6, found.offset)
    said = shadow.predict(asked, given, found, none, one)
    error = asked.rest_db - said.mean_db
    from scipy.spatial import cKDTree

    near = np.empty(len(asked))
    for cell in range(6):
        mine, rows = given.cell == cell, asked.cell == cell
        places = np.column_stack((given.x_m[mine], given.y_m[mine]))
        index = cKDTree(places).query(np.column_stack((asked.x_m[rows], asked.y_m[rows])), k=12)[1]
        near[rows] = given.rest_db[mine][index].mean(axis=1)
    rmse, rmse_near = np.sqrt(np.mean(error**2)), np.sqrt(np.mean((asked.rest_db - near) ** 2))
    assert rmse < 0.95 * rmse_near
    assert np.mean(np.abs(error) < 1.645 * said.sd_db) == pytest.approx(0.9, abs=0.05)


def test_local_prediction_is_the_exact_one_where_everything_is_near() -> None:
    rng = np.random.default_rng(1)
    n = 9
    given = Rests(np.zeros(n, np.int32), np.zeros(n, np.int32), *rng.uniform(0, 60, (2, n)), rng.normal(0, 5, n))
    asked = Rests(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([30.0]), np.array([30.0]), np.zeros(1))
    law = Shadowing(np.array([0.0, 9.0, 0.0, 0.0]), np.zeros(4), np.array([0.0, 0.0, 16.0, 0.0]), 0.0, 4.0)
    said = shadow.predict(asked, given, law, np.zeros(1), np.zeros(1))

    def covariance(d: np.ndarray) -> np.ndarray:
        return 9.0 * np.exp(-d / LENGTHS_M[1]) + 16.0 * np.exp(-d / LENGTHS_M[2])

    x = np.column_stack((given.x_m, given.y_m))
    between = covariance(np.hypot(*(x[:, None] - x[None]).transpose(2, 0, 1))) + 4.0 * np.eye(n)
    towards = covariance(np.hypot(*(x - 30.0).T))
    weights = np.linalg.solve(between, towards)
    assert said.mean_db[0] == pytest.approx(weights @ given.rest_db, abs=0.15)  # tables are of one metre
    assert said.sd_db[0] ** 2 == pytest.approx(25.0 - weights @ towards + 4.0, rel=0.02)


def test_far_from_everything_nothing_is_known() -> None:
    given, asked = _rests(600)
    found = shadow.estimate(given, np.random.default_rng(0))
    far = Rests(asked.cell, asked.site, asked.x_m + 1e5, asked.y_m, asked.rest_db)
    said = shadow.predict(far, given, found, np.zeros(6), np.full(6, found.offset))
    np.testing.assert_allclose(said.mean_db, 0.0, atol=1e-3)
    np.testing.assert_allclose(said.sd_db**2, found.total, rtol=1e-3)


def test_a_cell_never_measured_gets_the_common_layer_only() -> None:
    given, asked = _rests(8000, common_db=6.0, cell_db=2.0, noise_db=2.0)
    found = shadow.estimate(given, np.random.default_rng(0))
    nobody = np.full(len(asked), 6, np.int32)
    at = Rests(nobody, nobody, asked.x_m, asked.y_m, asked.rest_db)
    said = shadow.predict(at, given, found, np.zeros(7), np.append(np.zeros(6), found.offset))
    assert np.corrcoef(said.mean_db, asked.rest_db)[0, 1] > 0.6
