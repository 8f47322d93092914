import numpy as np
import pytest
from scipy import stats

from mndt.errors import InputError
from mndt.radio.fading import BANK_SIZE, R_MAX, FadingLaw, amplitude_table, mean_power, power_cdf, sample_power

LAWS = [
    ("rayleigh", {}),
    ("rician", {"rician_k_db": 9.0}),
    ("rician", {"rician_k_db": -10.0}),
    ("rician", {"rician_k_db": 20.0}),
    ("nakagami", {"nakagami_m": 0.5}),
    ("nakagami", {"nakagami_m": 3.0}),
]


def _from_table(law, options, n_draws, rng):
    r = np.sqrt(-np.log1p(-rng.random(n_draws)))
    table = amplitude_table(law, **options)
    return np.interp(r, np.linspace(0.0, R_MAX, len(table)), table) ** 2


@pytest.mark.parametrize(("law", "options"), LAWS)
def test_sampler_follows_the_closed_form(law, options):
    power = sample_power(law, (20_000,), np.random.default_rng(3), **options)
    assert stats.kstest(power, lambda x: power_cdf(law, x, **options)).pvalue > 1e-3
    assert abs(power.mean() - 1.0) < 4.0 * power.std() / np.sqrt(len(power))


@pytest.mark.parametrize(("law", "options"), LAWS)
def test_table_follows_the_closed_form(law, options):
    power = _from_table(law, options, 50_000, np.random.default_rng(4))
    assert stats.kstest(power, lambda x: power_cdf(law, x, **options)).pvalue > 1e-3
    assert abs(power.mean() - 1.0) < 4.0 * power.std() / np.sqrt(len(power))


@pytest.mark.parametrize(("law", "options"), LAWS)
def test_table_inverts_the_distribution(law, options):
    table = amplitude_table(law, **options).astype(float)
    r = np.linspace(0.0, R_MAX, len(table))
    middle = slice(50, 800)
    hazard = -np.log1p(-power_cdf(law, table[middle] ** 2, **options))
    np.testing.assert_allclose(np.sqrt(hazard), r[middle], atol=2e-3)
    assert np.all(np.diff(table) >= 0)
    assert table.dtype == float
    assert mean_power(amplitude_table(law, **options)) == pytest.approx(1.0, abs=1e-6)


def test_another_law_fails_the_test():
    power = sample_power("rician", (20_000,), np.random.default_rng(5), rician_k_db=6.0)
    assert stats.kstest(power, lambda x: power_cdf("rician", x, rician_k_db=9.0)).pvalue < 1e-6


def test_rayleigh_table_is_the_identity():
    np.testing.assert_allclose(amplitude_table("rayleigh", 64), np.linspace(0.0, R_MAX, 65), atol=1e-6)


def test_nakagami_of_one_is_rayleigh():
    np.testing.assert_allclose(amplitude_table("nakagami", nakagami_m=1.0), amplitude_table("rayleigh"), atol=1e-3)


def test_no_fading():
    assert np.all(amplitude_table("none", 8) == 1.0)
    assert np.all(sample_power("none", (3,), np.random.default_rng(0)) == 1.0)
    assert power_cdf("none", [0.9, 1.1]).tolist() == [0.0, 1.0]


def test_a_bank_holds_blocked_links_first_and_each_law_whole():
    law = FadingLaw(los="nakagami", nlos="rayleigh", nakagami_m=4.0)
    bank = law.bank(margin=200).astype(float)
    assert bank.shape == (2, BANK_SIZE + 200)
    np.testing.assert_array_equal(bank[:, :200], bank[:, BANK_SIZE:])
    assert bank[:, :BANK_SIZE].mean(axis=1) == pytest.approx([1, 1], abs=1e-6)
    for row, options in zip(bank[:, :BANK_SIZE], ({}, {"nakagami_m": 4.0}), strict=True):
        name = "nakagami" if options else "rayleigh"
        assert stats.kstest(row, lambda x, n=name, o=options: power_cdf(n, x, **o)).statistic < 1e-3
    neighbours = np.corrcoef(bank[0, : BANK_SIZE - 1], bank[0, 1:BANK_SIZE])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(BANK_SIZE)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"los": "rice"}, "did you mean 'rician'"),
        ({"nlos": "xyz"}, "nlos_fading is 'xyz'"),
        ({"rician_k_db": 99.0}, "-20 to 30 dB"),
        ({"rician_k_db": float("nan")}, "-20 to 30 dB"),
        ({"nakagami_m": 0.2}, "0.5 to 50"),
    ],
)
def test_refuses(wrong, text):
    with pytest.raises(InputError, match=text):
        FadingLaw(**wrong)
