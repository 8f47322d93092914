import numpy as np
import pytest

from mndt.radio.shadowing import track_shadowing_db, unit_field


def _correlation(fields, lag):
    along_x = np.mean([np.mean(f[:, lag:] * f[:, :-lag]) for f in fields])
    along_y = np.mean([np.mean(f[lag:, :] * f[:-lag, :]) for f in fields])
    return along_x, along_y


@pytest.mark.parametrize(("cell_m", "correlation_m"), [(4.0, 10.0), (4.0, 13.0), (4.0, 37.0), (8.0, 7.0)])
def test_deviation_and_autocorrelation(cell_m, correlation_m):
    rng = np.random.default_rng(1)
    fields = [unit_field(400, 400, cell_m, correlation_m, rng) for _ in range(6)]
    assert np.sqrt(np.mean(np.square(fields))) == pytest.approx(1.0, rel=0.05)
    for lag in (1, 2, 4):
        expected = np.exp(-lag * cell_m / correlation_m)
        assert _correlation(fields, lag) == pytest.approx((expected, expected), abs=0.05)
    # and along the diagonal, which a filter that is separable in x and y would get wrong
    diagonal = np.mean([np.mean(f[1:, 1:] * f[:-1, :-1]) for f in fields])
    assert diagonal == pytest.approx(np.exp(-np.sqrt(2.0) * cell_m / correlation_m), abs=0.05)


def test_opposite_borders_do_not_know_each_other():
    rng = np.random.default_rng(2)
    fields = [unit_field(60, 60, 4.0, 37.0, rng) for _ in range(300)]
    across = np.mean([np.mean(f[:, 0] * f[:, -1]) for f in fields])
    assert abs(across) < 0.1


def test_same_seed_same_field_and_another_seed_another():
    first, again, other = (unit_field(50, 70, 4.0, 13.0, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.2
    assert first.shape == (50, 70)
    assert first.dtype == np.float32


def test_field_agrees_with_the_recursion_along_a_track():
    track = track_shadowing_db(4.0, 60_000, 1.0, 13.0, np.random.default_rng(3))
    field = unit_field(300, 300, 4.0, 13.0, np.random.default_rng(4))
    assert track.std() == pytest.approx(field.std(), rel=0.05)
    for lag in (1, 3):
        reference = np.mean(track[lag:] * track[:-lag])
        assert np.mean(field[:, lag:] * field[:, :-lag]) == pytest.approx(reference, abs=0.05)
