from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.checks import _demand_features as judge
from mndt.checks import validate_demand as check
from mndt.checks._demand_rivals import RIVALS
from mndt.cli import main
from mndt.errors import InputError
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import generate, load

has_reference = pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")


@pytest.fixture(scope="module")
def town() -> Observed:
    return generate(load("nanchang"), [5] * 12, np.random.default_rng(0))


def test_features_of_a_pure_wave_are_known() -> None:
    hour = np.arange(48 * 7) % 48 / 2
    y = 5 + np.cos((hour - 15) / 24 * 2 * np.pi)
    found = dict(zip(judge.FEATURES, judge.features(np.exp(y)[None] - 1e-12, 48, 1e-12)[0], strict=True))
    assert len(found) == 27
    assert found["level"] == pytest.approx(5)
    assert found["spread"] == pytest.approx(np.sqrt(0.5))
    assert found["skewness"] == pytest.approx(0, abs=1e-6)
    assert found["kurtosis"] == pytest.approx(-1.5)
    assert found["peak_hour"] == 15
    assert found["spectrum_day"] == pytest.approx(1)
    assert found["spectrum_half_day"] == pytest.approx(0, abs=1e-9)
    assert found["acf_day"] == pytest.approx(1)
    assert found["acf_half_day"] == pytest.approx(-1)
    assert found["second_step_ratio"] == pytest.approx(2 * np.sin(np.pi / 48), rel=1e-2)
    assert found["day_sd"] == pytest.approx(0, abs=1e-9)
    assert found["day_slope"] == pytest.approx(0, abs=1e-9)
    assert found["zero_share"] == 0


def test_divergence_of_equal_and_of_apart() -> None:
    edges = np.linspace(0, 1, 11)
    x = np.random.default_rng(0).random(100)
    assert judge.divergence(x, x, edges) == 0
    assert judge.divergence(x / 3, 1 - x / 3, edges) == pytest.approx(np.log(2))


def test_nearest_day_of_a_copy_is_zero(town: Observed) -> None:
    x = town.traffic
    assert judge.nearest_days(x[:5], x, 48, 1.0) == pytest.approx(0, abs=1e-5)
    shifted = np.exp(np.log(x[:5] + 1) + 7.0) - 1  # far above all others
    y = np.log(x + 1)
    days, others = (np.log(shifted + 1)[:, : 48 * 8].reshape(-1, 48), y[:, : 48 * 8].reshape(-1, 48))
    slow = np.median([np.sqrt(((others - day) ** 2).mean(axis=1)).min() for day in days])
    assert judge.nearest_days(shifted, x, 48, 1.0) == pytest.approx(slow, rel=1e-9)


def test_judges_know_equal_from_unequal() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 40, 5))
    assert 0.2 < np.mean(judge.judges(one, other, 0)) < 0.7
    assert min(judge.judges(one, other + 4, 0)) > 0.98


def test_rivals_are_as_plain_as_they_say(town: Observed) -> None:
    made = {name: rival(town, [4, 6], np.random.default_rng(2)) for name, rival in RIVALS.items()}
    assert {name: x.shape for name, x in made.items()} == dict.fromkeys(RIVALS, (10, 399))
    known = {row.tobytes() for row in town.traffic}
    assert all(row.tobytes() in known for row in made["resample"])
    acf = {name: judge.acf(np.log(x + 1), 1).mean() for name, x in made.items()}
    assert abs(acf["lognormal"]) < 0.05
    assert acf["one_mode"] > 0.4
    assert judge.acf(np.log(made["profile_ar"] + 1), 48).mean() > 0.4
    assert abs(judge.acf(np.log(made["one_mode"] + 1), 48).mean()) < 0.2


def test_splits_keep_groups_apart(town: Observed) -> None:
    for train, test in check.split(town, 5):
        assert not set(train.group) & set(test.group)
        assert len(train) + len(test) == len(town)
    firsts = [tuple(np.unique(test.group)) for _, test in check.split(town, 5)]
    assert len(set(firsts)) > 1


def test_few_places_are_refused(town: Observed) -> None:
    with pytest.raises(InputError, match="places is"):
        check.run(splits=1, observed=town.take(town.group < 3))


def test_missing_data_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["validate", "demand", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "nanchang_week.npz" in result.output


@has_reference
def test_the_week_has_307_series_of_28_places() -> None:
    observed = check.nanchang(Path(os.environ["MNDT_DATA"]) / "nanchang_week.npz")
    assert observed.traffic.shape == (307, 399)
    assert len(np.unique(observed.group)) == 28
    assert observed.slot_s == 1800


@pytest.mark.slow
@has_reference
def test_figures_on_places_never_seen() -> None:
    result = CliRunner().invoke(main, ["validate", "demand", "--splits", "5", "--json"])
    figures = json.loads(result.output.splitlines()[-1])["figures"]
    assert figures["auc_ours"] <= 0.80
    assert figures["nearest_day_ours"] >= figures["nearest_day_real"]
    assert all(figures[f"auc_{name}"] > 0.95 for name in ("profile_ar", "one_mode", "lognormal", "bootstrap"))
    assert figures["jsd_diff_ours"] < figures["jsd_diff_profile_ar"]
