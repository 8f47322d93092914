from __future__ import annotations

import numpy as np
import pytest
from grid_town import grid_town

from mndt.state import Mode
from mndt.streams import Streams
from mndt.users.mobility import OwnMobility
from mndt.users.modes import mode_by_shares
from mndt.users.population import DAY_S, Population, UserParameters
from mndt.users.schedule import make_population

TOWN = grid_town()
RESIDENTS = UserParameters(commuter_share=0, passer_share=0)


def days_of(plan: Population) -> np.ndarray:
    return plan.departure_s // DAY_S


@pytest.fixture(scope="module")
def week() -> Population:
    return make_population(TOWN, 1500, UserParameters(first_day="wednesday"), Streams(5), days=7)


def test_every_day_is_drawn_anew_and_homes_and_works_stay(week: Population) -> None:
    days = days_of(week)
    assert set(days.tolist()) == set(range(7))
    user = np.repeat(np.arange(len(week)), np.diff(week.trip_start))
    one, two = (week.departure_s[(days == d) & (week.chain[user] >= 0)] % DAY_S for d in (0, 1))
    assert len(np.intersect1d(one, two)) < 0.5 * len(one)
    worker = np.flatnonzero(week.chain == 0)[:50]
    places = [set(week.to_area[(user == u) & (days < 2)].tolist()) for u in worker]
    again = [set(week.to_area[(user == u) & (days >= 5)].tolist()) for u in worker]
    assert np.mean([len(a & b) > 1 for a, b in zip(places, again, strict=True) if a and b]) > 0.5


def test_plans_join_over_midnight(week: Population) -> None:
    user = np.repeat(np.arange(len(week)), np.diff(week.trip_start))
    same = np.diff(user) == 0
    end = week.departure_s + week.duration_s
    assert (week.from_area[1:] == week.to_area[:-1])[same].all()
    assert (week.departure_s[1:] > end[:-1])[same].all()
    assert (end // DAY_S == days_of(week)).all()


def test_fewer_go_to_work_at_weekends() -> None:
    residents = make_population(TOWN, 4000, UserParameters(commuter_share=0, passer_share=0), Streams(1), days=7)
    at_eight = (residents.departure_s % DAY_S > 7 * 3600) & (residents.departure_s % DAY_S < 9 * 3600)
    by_day = np.bincount(days_of(residents)[at_eight], minlength=7)
    weekend = np.isin(np.arange(7), (5, 6))
    assert by_day[weekend].max() < 0.6 * by_day[~weekend].min()


def test_the_first_days_do_not_depend_on_how_many_follow() -> None:
    one, three = (make_population(TOWN, 400, UserParameters(), Streams(2), days=d) for d in (1, 3))
    first = days_of(three) == 0
    for name in ("departure_s", "duration_s", "from_area", "to_area", "mode"):
        assert getattr(three, name)[first].tobytes() == getattr(one, name).tobytes(), name
    assert one.home.tobytes() == three.home.tobytes()


def test_people_set_out_again_on_the_second_morning() -> None:
    plan = make_population(TOWN, 300, RESIDENTS, Streams(4), days=2)
    source = OwnMobility(TOWN, plan, RESIDENTS, Streams(4))
    begin = DAY_S + 8 * 3600
    memory, users = source.start(begin, Streams(1))
    assert (users.mode != Mode.INSIDE).any()
    started = 0
    for t in range(begin, begin + 600):
        memory, users = source.step(memory, t, Streams(1))
        started = int(memory.n_started[0])
    assert started > 10


def test_midnight_is_passed_like_any_other_second() -> None:
    everyone = UserParameters(commuter_share=0, passer_share=1.0)
    plan = make_population(TOWN, 60, everyone, Streams(4), days=2)
    source = OwnMobility(TOWN, plan, everyone, Streams(4))
    memory, users = source.start(DAY_S - 120, Streams(1))
    for t in range(DAY_S - 120, DAY_S + 120):
        memory, users = source.step(memory, t, Streams(1))
    assert np.isfinite(users.x_m).all()
    # the second day's trips are still to come, and nobody was lost
    assert (memory.next_trip < plan.trip_start[1:]).all()


def test_a_policy_of_ones_own_chooses_the_modes() -> None:
    plan = make_population(
        TOWN, 200, RESIDENTS, Streams(0), modes=lambda d, rng: np.full(len(d), Mode.BICYCLE, np.int8)
    )
    assert (plan.mode == Mode.BICYCLE).all()


def test_modes_by_shares_follow_their_band() -> None:
    shares = np.array([[0.8, 0.2, 0.0], [0.0, 0.1, 0.9]])
    rng = np.random.default_rng(0)
    near, far = (mode_by_shares(np.full(20_000, d), np.array([1000.0]), shares, rng) for d in (500.0, 1500.0))
    assert np.bincount(near, minlength=4)[1:] / 20_000 == pytest.approx(shares[0], abs=0.01)
    assert np.bincount(far, minlength=4)[1:] / 20_000 == pytest.approx(shares[1], abs=0.01)
