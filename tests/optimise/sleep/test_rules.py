"""Rules, and what is learned beside them."""

from __future__ import annotations

import numpy as np
import pytest
from small_sleep import small_problem

from mndt.optimise.sleep import rules
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.learned import looking_ahead, rehearse
from mndt.optimise.sleep.outlook import learn
from mndt.optimise.sleep.problem import Setting, play
from mndt.optimise.sleep.scores import price_of, score
from mndt.users.demand.observed import Observed


@pytest.fixture
def small() -> tuple[Fleet, Observed]:
    return small_problem()


Small = tuple[Fleet, Observed]


def scored(small: Small, setting: Setting, method: object) -> dict[str, float]:
    fleet, observed = small
    return score(fleet, observed.traffic, play(fleet, observed.traffic, setting, method, begin=48), begin=48)  # type: ignore[arg-type]


def test_no_rule_leaves_known_demand_unserved(small: Small) -> None:
    fleet, observed = small
    day = observed.traffic[:, :48]
    for method in (
        rules.original(fleet), rules.minimal(fleet), rules.nested(fleet, day), rules.dropping(fleet),
        rules.myopic(fleet, Setting.KNOWN),
    ):  # fmt: skip
        assert scored(small, Setting.KNOWN, method)["unserved"] < 1e-12


def test_minimal_is_the_least_number_largest_first(small: Small) -> None:
    fleet, observed = small
    seen: list[np.ndarray] = []

    def watched(moment: object) -> np.ndarray:
        seen.append(rules.minimal(fleet)(moment))  # type: ignore[arg-type]
        return seen[-1]

    play(fleet, observed.traffic[:, :60], Setting.KNOWN, watched, begin=48)
    for slot, status in enumerate(seen, start=48):
        for grid in range(fleet.n_grids):
            own = fleet.grid == grid
            sizes = np.sort(fleet.capacity[own])[::-1]
            least = max(int(np.searchsorted(np.cumsum(sizes), observed.traffic[grid, slot])) + 1, 1)
            assert (status[own] == 0).sum() == least


def test_nested_switches_each_cell_once_a_day_in_either_direction(small: Small) -> None:
    fleet, observed = small
    day = observed.traffic[:, :48]
    twice = np.concatenate([day, day, day], axis=1)
    outcome = play(fleet, twice, Setting.KNOWN, rules.nested(fleet, day), begin=48)
    changes = (np.diff(outcome.status[:48].astype(int), axis=0) != 0).sum(axis=0)
    assert changes.max() <= 2


def test_the_exact_minimum_of_a_slot_consumes_no_more_than_other_rules(small: Small) -> None:
    fleet, _ = small
    least = scored(small, Setting.KNOWN, rules.myopic(fleet, Setting.KNOWN, weight=0.0))["kwh"]
    assert least <= scored(small, Setting.KNOWN, rules.minimal(fleet))["kwh"]
    assert least <= scored(small, Setting.KNOWN, rules.dropping(fleet, weight=0.0))["kwh"] * (1 + 1e-9)


def test_a_linear_forecast_covers_what_comes(small: Small) -> None:
    _, observed = small
    linear = rules.Linear.fit(observed.traffic[:, :48], 48)
    above = [
        (observed.traffic[:, t] > linear.distribution(observed.traffic[:, t - 4 : t], t % 48)[:, -10]).mean()
        for t in range(48, 144)
    ]
    assert 0.0 < np.mean(above) < 0.12


def test_learning_beats_the_margin_rule_and_repeats(small: Small) -> None:
    fleet, observed = small
    day = observed.traffic[:, :48]
    outlook = learn(day, observed.group, 48, networks=2, epochs=30, horizon=1)
    again = learn(day, observed.group, 48, networks=2, epochs=30, horizon=1)
    assert all((a["w1"] == b["w1"]).all() for a, b in zip(outlook.weights, again.weights, strict=True))
    price = price_of(fleet, day)
    rehearsal = rehearse(fleet, day, Setting.CAUSAL, outlook, factors=(1.0, 2.0, 50.0))
    ours = rules.weighing(fleet, Setting.CAUSAL, rehearsal.best * price, outlook.distribution)
    assert scored(small, Setting.CAUSAL, ours)["j10u"] < scored(small, Setting.CAUSAL, rules.minimal(fleet))["j10u"]
    assert rehearsal.best == rehearsal.factors[int(np.argmin(rehearsal.j10u))]
    assert rehearsal.careful(0.0) == 2.0
    assert rehearsal.careful(1.0) == 1.0


def test_looking_ahead_serves_all_and_switches_less_than_the_minimum_of_slots(small: Small) -> None:
    fleet, observed = small
    outlook = learn(observed.traffic[:, :48], observed.group, 48, networks=1, epochs=300, horizon=4)
    ahead = scored(small, Setting.KNOWN, looking_ahead(fleet, outlook))
    least = scored(small, Setting.KNOWN, rules.myopic(fleet, Setting.KNOWN, weight=0.0))
    assert ahead["unserved"] < 1e-12
    assert ahead["j"] < least["j"]
    assert ahead["cell_switches"] < least["cell_switches"]
