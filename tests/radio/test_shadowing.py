import numpy as np
import pytest
from scipy import stats

from mndt.radio.pathloss import SHADOWING
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


def test_a_field_is_gaussian_with_the_moments_of_a_standard_normal():
    rng = np.random.default_rng(5)
    fields = np.stack([unit_field(40, 40, 4.0, 13.0, rng) for _ in range(400)]).astype(float)
    apart = fields[:, ::39, ::39].ravel()  # corners of independent fields
    assert stats.kstest(apart, "norm").pvalue > 1e-3
    assert fields.mean() == pytest.approx(0.0, abs=0.03)
    assert np.mean(apart**2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(apart)))
    assert np.mean(apart**3) == pytest.approx(0.0, abs=4 * np.sqrt(15 / len(apart)))
    assert np.mean(apart**4) == pytest.approx(3.0, abs=4 * np.sqrt(96 / len(apart)))


def test_fields_of_two_sites_have_nothing_in_common():
    rng = np.random.default_rng(6)
    pairs = [(unit_field(60, 60, 8.0, 10.0, rng), unit_field(60, 60, 8.0, 10.0, rng)) for _ in range(10)]
    assert abs(np.mean([np.mean(one * two) for one, two in pairs])) < 0.02


def test_deviations_and_distances_of_the_report():
    """Tables 7.4.1-1 and 7.5-6, transcribed a second time: scenario, state, deviation, correlation distance."""
    table = """
        UMi los 4 10 | UMi nlos 7.82 13 | UMi o2i 7 7 | UMa los 4 37 | UMa nlos 6 50 | UMa o2i 7 7
        | RMa los 4 37 | RMa nlos 8 120 | RMa o2i 8 120 | InH los 3 10 | InH nlos 8.03 6
    """
    rows = [entry.split() for entry in table.split("|")]
    assert len(rows) == sum(len(states) for states in SHADOWING.values())
    for scenario, state, sigma_db, distance_m in rows:
        assert SHADOWING[scenario][state] == (float(sigma_db), float(distance_m))
