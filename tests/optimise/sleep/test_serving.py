"""What a slot serves, consumes and costs."""

from __future__ import annotations

import numpy as np
import pytest
from small_sleep import pair_of_grids

from mndt.errors import InputError
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.masks import masks
from mndt.optimise.sleep.problem import Setting, play, serve, start
from mndt.optimise.sleep.scores import always_on, score


@pytest.fixture
def pair() -> Fleet:
    return pair_of_grids()


ON, SLEEP, OFF = 0, 1, 2


def test_all_on_consumes_idle_power_and_load(pair: Fleet) -> None:
    row = serve(pair, start(pair), start(pair), np.array([1.5, 0.5]), Setting.KNOWN)
    watts = 200 + 300 + 0.5 * 300 + 250 + 150 + 0.2 * 200 + 450
    assert row.energy_wh == pytest.approx(1.21 * 0.5 * watts)
    assert row.switching_wh == 0
    assert row.unserved.tolist() == [0, 0]


def test_a_station_is_off_when_all_its_cells_are(pair: Fleet) -> None:
    before = np.array([ON, OFF, OFF, ON], np.int8)
    row = serve(pair, before, before, np.zeros(2), Setting.KNOWN)
    assert row.energy_wh == pytest.approx(1.21 * 0.5 * (200 + 150 + 150 + 100))
    woken = serve(pair, before, np.array([ON, OFF, ON, ON]), np.zeros(2), Setting.KNOWN)
    assert woken.switching_wh == pytest.approx(0.5 * 250 + 0.5 * 200)
    assert (woken.cell_switches, woken.station_switches) == (1, 1)


def test_a_start_costs_the_same_by_way_of_sleep(pair: Fleet) -> None:
    off, asleep = np.array([OFF, ON, ON, ON], np.int8), np.array([SLEEP, ON, ON, ON], np.int8)
    direct = serve(pair, off, start(pair), np.zeros(2), Setting.KNOWN)
    first = serve(pair, off, asleep, np.zeros(2), Setting.KNOWN)
    second = serve(pair, asleep, start(pair), np.zeros(2), Setting.KNOWN)
    assert first.switching_wh + second.switching_wh == pytest.approx(direct.switching_wh)
    assert serve(pair, start(pair), off, np.zeros(2), Setting.KNOWN).switching_wh == 0


def test_a_start_within_the_slot_lacks_five_minutes(pair: Fleet) -> None:
    before = np.array([OFF, ON, ON, ON], np.int8)
    demand = np.array([3.0, 0.0])
    assert serve(pair, before, start(pair), demand, Setting.KNOWN).unserved[0] == 0
    assert serve(pair, before, start(pair), demand, Setting.CAUSAL).unserved[0] == pytest.approx(1 / 6)


def test_cells_asleep_are_woken_only_where_they_may_be(pair: Fleet) -> None:
    status = np.array([SLEEP, ON, ON, OFF], np.int8)
    demand = np.array([2.5, 2.0])
    kept = serve(pair, status, status, demand, Setting.CAUSAL)
    assert kept.unserved.tolist() == pytest.approx([0.5, 0.5])
    woken = serve(pair, status, status, demand, Setting.RESERVE)
    assert woken.unserved.tolist() == pytest.approx([0.0, 0.5])
    assert woken.status.tolist() == [ON, ON, ON, OFF]
    assert woken.cell_switches == 1
    assert woken.switching_wh == pytest.approx(0.2 * 0.5 * 200)


def test_the_cheapest_cells_that_suffice_are_woken() -> None:
    fleet = Fleet(
        grid=np.zeros(3, np.int64), station=np.zeros(3, np.int64), kind=np.array(["macro"] * 3),
        capacity=np.array([5.0, 1.0, 1.0]), idle_w=np.array([480.0, 200.0, 60.0]), load_w=np.array([60.0, 10.0, 5.0]),
        sleep_w=np.array([100.0, 90.0, 20.0]), bbu_w=np.array([100.0]),
    )  # fmt: skip
    status = np.full(3, SLEEP, np.int8)
    assert serve(fleet, status, status, np.array([0.5]), Setting.RESERVE).status.tolist() == [SLEEP, SLEEP, ON]
    assert serve(fleet, status, status, np.array([3.0]), Setting.RESERVE).status.tolist() == [ON, SLEEP, SLEEP]
    assert serve(fleet, status, status, np.array([9.0]), Setting.RESERVE).status.tolist() == [ON, ON, ON]


def test_scores_of_all_on_are_nothing_saved(pair: Fleet) -> None:
    demand = np.random.default_rng(0).uniform(0, 3, (2, 12))
    demand[1] = np.minimum(demand[1], 2.5)
    outcome = play(pair, demand, Setting.KNOWN, lambda moment: start(pair), begin=4)
    found = score(pair, demand, outcome, begin=4)
    assert found["saving"] == pytest.approx(0)
    assert found["j10u"] == pytest.approx(100)
    assert always_on(pair, demand[:, 4:]).sum() == pytest.approx(outcome.energy_wh.sum())


def test_a_status_that_is_none_is_refused(pair: Fleet) -> None:
    with pytest.raises(InputError, match="status"):
        serve(pair, start(pair), np.array([0, 3, 0, 0]), np.zeros(2), Setting.KNOWN)
    with pytest.raises(InputError, match="begin"):
        play(pair, np.ones((2, 9)), Setting.KNOWN, lambda moment: start(pair), begin=2)


@pytest.mark.parametrize("setting", list(Setting))
def test_what_cells_cost_adds_up(pair: Fleet, setting: Setting) -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        before, wanted = rng.integers(0, 3, (2, 4)).astype(np.int8)
        row = serve(pair, before, wanted, rng.uniform(0, 3, 2), setting)
        assert row.cell_wh.sum() == pytest.approx(row.energy_wh + row.switching_wh)


def test_masks_tell_what_the_others_do(pair: Fleet) -> None:
    status = np.array([ON, OFF, SLEEP, ON], np.int8)
    enough, closes = masks(pair, status, np.array([0.0, 0.5]))
    assert enough.tolist() == [True, True, True, False]  # without the last nobody is on in the second grid
    assert closes.tolist() == [True, False, True, True]
