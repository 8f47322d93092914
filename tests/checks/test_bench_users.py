"""The clocks of the users' twin run on a small town and count what they say."""

from __future__ import annotations

import numpy as np
import pytest

from mndt.checks import bench_users
from mndt.city.synthetic import synthetic_city
from mndt.streams import Streams
from mndt.users.demand import DemandParameters, OwnDemand, mean_rate_bps
from mndt.users.mobility import OwnMobility, UserParameters
from mndt.users.schedule import make_population


@pytest.fixture(scope="module")
def town() -> tuple[OwnMobility, OwnDemand]:
    city = synthetic_city(size_m=400, lanes=120, areas=40, outdoor_sites=2, indoor_sites=2)
    parameters, streams = UserParameters(count=500), Streams(0)
    population = make_population(city, 500, parameters, streams)
    return OwnMobility(city, population, parameters, streams), OwnDemand(population.cluster, DemandParameters())


def test_the_busy_hour_has_people_on_the_way(town: tuple[OwnMobility, OwnDemand]) -> None:
    figures = bench_users.busy_hour(*town, Streams(0), 20)
    assert 0 < figures["users_on_the_way"] < 500
    assert figures["times_real_time"] > 1


def test_the_crowd_stays_inside(town: tuple[OwnMobility, OwnDemand], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, step = [], OwnMobility.step

    def watched(self: OwnMobility, *arguments: object) -> object:
        memory, users = step(self, *arguments)  # type: ignore[arg-type]
        seen.append((np.count_nonzero(users.area < 0), np.count_nonzero(users.speed_mps > 0)))
        return memory, users

    monkeypatch.setattr(OwnMobility, "step", watched)
    figures = bench_users.crowd(town[0].city, town[0], Streams(0), 60)
    outside, walking = np.array(seen).T
    assert figures["crowd_people"] == 500
    assert outside.max() == 0
    assert walking.max() > 0


def test_a_day_of_demand_is_the_closed_form_s(town: tuple[OwnMobility, OwnDemand]) -> None:
    figures = bench_users.day(town[1], Streams(0), 7200)
    expected = np.mean([mean_rate_bps(town[1].parameters, t)[town[1].cluster].sum() for t in range(0, 7200, 60)])
    assert figures["demand_mean_mbps"] == pytest.approx(expected / 1e6, rel=0.3)
    assert figures["demand_s"] > 0
