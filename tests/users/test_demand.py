from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.scenario import parse
from mndt.state import Mode, Users
from mndt.streams import Streams
from mndt.users.demand import (
    PREFERENCES,
    PROFILES,
    DemandParameters,
    OwnDemand,
    active_share,
    mean_rate_bps,
    random_clusters,
    session_shares,
    start_rates_hz,
)
from mndt.users.demand.own import summed_rates
from mndt.users.demand.patterns import load, save
from mndt.users.population import CLUSTERS


def people(n: int, mode: int = Mode.INSIDE) -> Users:
    zero = np.zeros(n, np.float32)
    return Users(zero, zero, zero, np.full(n, mode, np.int8), np.zeros(n, np.int32))


def run(demand: OwnDemand, seconds: int, time_s: int, seed: int = 0) -> tuple[float, float]:
    """Mean bits and active share per user and second."""
    users = people(len(demand.cluster))
    memory, bits, active = demand.start(users, time_s, Streams(seed)), 0.0, 0.0
    for k in range(seconds):
        memory, now = demand.step(memory, users, time_s + k, Streams(seed))
        assert ((now.bits > 0) == (now.service >= 0)).all()
        bits += float(now.bits.mean(dtype=np.float64))
        active += float((now.service >= 0).mean())
    return bits / seconds, active / seconds


@pytest.mark.parametrize("cluster", range(len(CLUSTERS)))
def test_mean_is_the_closed_form(cluster: int) -> None:
    n, at = 20_000, 10 * 3600 + 1800  # profiles change little within the next minutes
    parameters = DemandParameters(scale=2.0)
    bits, active = run(OwnDemand(np.full(n, cluster, np.int8), parameters), 60, at)
    # users are independent, and so is each user's session over these seconds: n draws of a rate between 0 and 5 Mbit/s
    expected = mean_rate_bps(parameters, at)[cluster]
    by_time = session_shares()[cluster] * [s.session_s for s in SERVICES]
    second_moment = 4.0 * (by_time / by_time.sum()) @ np.square([s.rate_bps for s in SERVICES]) * np.exp(0.25)
    error = np.sqrt(active_share(parameters, at)[cluster] * second_moment / n)
    assert bits == pytest.approx(expected, abs=4 * error)
    assert active == pytest.approx(active_share(parameters, at)[cluster], abs=4 * 0.5 / np.sqrt(n))


def test_stays_stationary_from_the_first_second() -> None:
    # from a stationary start the share of active users neither climbs nor falls within a constant hour
    demand = OwnDemand(np.full(20_000, CLUSTERS.index("home"), np.int8))
    at = 12 * 3600 + 1800  # the profile is flat from 12:30 to 13:30
    users, shares = people(20_000), []
    memory = demand.start(users, at, Streams(1))
    for k in range(600):
        memory, now = demand.step(memory, users, at + k, Streams(1))
        shares.append((now.service >= 0).mean())
    assert np.mean(shares[:50]) == pytest.approx(np.mean(shares[-50:]), abs=0.02)


def test_morning_load_is_noticeable_not_hopeless() -> None:
    cluster = np.repeat(np.arange(5), [600, 3500, 450, 250, 700]).astype(np.int8)  # about a city centre's mix
    bits, active = run(OwnDemand(cluster), 100, 8 * 3600)
    assert 0.12 < active < 0.17  # a fifth of everyone in the busiest hour
    assert 0.7e6 < bits / active < 1.5e6


def test_sessions_last_as_long_as_their_service_says() -> None:
    n = 4000
    demand = OwnDemand(np.full(n, CLUSTERS.index("student"), np.int8), DemandParameters(session_sigma=0.3))
    users, at = people(n), 18 * 3600
    memory = demand.start(users, at, Streams(5))
    previous, started, length = memory.service, np.full(n, -1), {s: [] for s in range(len(SERVICES))}
    for k in range(900):
        left = memory.left_s
        memory, now = demand.step(memory, users, at + k, Streams(5))
        begins = (left <= 0) & (now.service >= 0)
        ends = (left <= 0) & (started >= 0)
        for u in np.flatnonzero(ends):
            length[int(previous[u])].append(k - started[u])
        started[ends] = -1
        started[begins] = k
        previous = now.service
    web = [s.name for s in SERVICES].index("web")
    assert len(length[web]) > 500
    assert np.mean(length[web]) == pytest.approx(SERVICES[web].session_s, rel=0.06)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), hour=st.floats(0, 23.9), busy=st.floats(0, 0.95), n=st.integers(0, 50))
def test_memory_and_demand_agree(seed: int, hour: float, busy: float, n: int) -> None:
    demand = OwnDemand(random_clusters(n, Streams(seed)), DemandParameters(busy_share=busy))
    users, at = people(n), int(hour * 3600)
    memory = demand.start(users, at, Streams(seed))
    for k in range(5):
        memory, now = demand.step(memory, users, at + k, Streams(seed))
        assert now.bits.dtype == np.float32
        assert now.service.dtype == np.int8
        assert (memory.service == now.service).all()
        assert ((now.service >= -1) & (now.service < len(SERVICES))).all()
        assert np.isfinite(now.bits).all()
        assert (memory.left_s >= 0).all()


def test_the_absent_ask_for_nothing() -> None:
    demand = OwnDemand(np.zeros(100, np.int8), DemandParameters(busy_share=0.9))
    memory = demand.start(people(100), 72_000, Streams(0))
    assert (memory.service >= 0).any()
    _, now = demand.step(memory, people(100, Mode.ABSENT), 72_000, Streams(0))
    assert (now.service == -1).all()
    assert now.bits.sum() == 0


def test_same_streams_same_bytes() -> None:
    demand, users = OwnDemand(random_clusters(50, Streams(1))), people(50)
    memory = demand.start(users, 30_000, Streams(1))
    one, two = (demand.step(memory, users, 30_000, Streams(1))[1] for _ in range(2))
    assert one.bits.tobytes() == two.bits.tobytes()
    assert one.bits.tobytes() != demand.step(memory, users, 30_000, Streams(2))[1].bits.tobytes()


def test_scale_scales_every_bit() -> None:
    users = people(200)
    half, full = (OwnDemand(np.zeros(200, np.int8), DemandParameters(scale=s)) for s in (0.5, 1.0))
    memory = full.start(users, 70_000, Streams(1))
    a, b = (d.step(memory, users, 70_000, Streams(1))[1].bits for d in (half, full))
    np.testing.assert_allclose(a, b / 2, rtol=1e-6)


def test_tables_are_complete() -> None:
    assert set(PROFILES) == set(CLUSTERS) == set(PREFERENCES)
    names = {s.name for s in SERVICES}
    for profile in PROFILES.values():
        assert len(profile) == 24
        assert max(profile) == 100
    assert all(set(p) <= names for p in PREFERENCES.values())
    np.testing.assert_allclose(session_shares().sum(axis=1), 1.0)


def test_noise_has_mean_one_whatever_its_spread() -> None:
    cluster = np.full(30_000, CLUSTERS.index("home"), np.int8)
    quiet, noisy = (replace(DemandParameters(), rate_sigma=s) for s in (0.0, 1.0))
    a, b = (run(OwnDemand(cluster, p), 30, 72_000)[0] for p in (quiet, noisy))
    assert b == pytest.approx(a, rel=0.03)


def test_a_second_of_13000_users_is_a_fraction_of_a_millisecond() -> None:
    demand, users = OwnDemand(random_clusters(13_000, Streams(0))), people(13_000)
    memory = demand.start(users, 30_000, Streams(0))
    times = []
    for k in range(20):
        begin = process_time()
        memory, _ = demand.step(memory, users, 30_000 + k, Streams(0))
        times.append(process_time() - begin)
    assert min(times) < 0.69e-3  # then a day takes a minute


def test_waiting_has_no_memory_of_absence() -> None:
    # who comes back after an hour away starts sessions at the same rate as those who stayed idle
    n, at = 20_000, 13 * 3600
    demand, streams = OwnDemand(np.full(n, CLUSTERS.index("home"), np.int8)), Streams(2)
    memory = demand.start(people(n, Mode.ABSENT), at, streams)
    for k in range(600):
        memory, now = demand.step(memory, people(n, Mode.ABSENT), at + k, streams)
    memory, now = demand.step(memory, people(n), at + 600, streams)
    rate = start_rates_hz(demand.parameters, at + 600)[0]
    assert (now.service >= 0).mean() == pytest.approx(1 - np.exp(-rate), abs=4 * np.sqrt(rate / n))


def test_summed_rates_are_the_integral_over_any_days() -> None:
    p = DemandParameters()
    seconds = np.arange(0, 86_400, 5)
    total = np.sum([start_rates_hz(p, t + 2.5) for t in seconds[(seconds >= 30_000) & (seconds < 40_000)]], axis=0) * 5
    found = summed_rates(p, 40_000) - summed_rates(p, 30_000)
    np.testing.assert_allclose(found, total, rtol=1e-3)
    np.testing.assert_allclose(summed_rates(p, 2 * 86_400 + 500), 2 * summed_rates(p, 86_400) + summed_rates(p, 500))
    assert (np.diff([summed_rates(p, t) for t in range(0, 200_000, 977)], axis=0) > 0).all()


def test_calls_by_day_and_games_in_the_evening() -> None:
    names = [s.name for s in SERVICES]
    morning, evening, neutral = session_shares(9 * 3600), session_shares(21 * 3600), session_shares()
    assert (evening[:, names.index("game")] > 1.5 * morning[:, names.index("game")]).all()
    assert (evening[:, names.index("voice")] < 0.6 * morning[:, names.index("voice")]).all()
    np.testing.assert_allclose(session_shares(3 * 3600), neutral)
    p = DemandParameters()
    rate = [mean_rate_bps(p, h * 3600) / active_share(p, h * 3600) for h in range(24)]
    assert (np.ptp(rate, axis=0) / np.mean(rate, axis=0) < 0.11).all()  # the hour changes what, hardly how much


def test_fitted_profiles_replace_the_assumed_ones() -> None:
    assumed, fitted = DemandParameters(), DemandParameters(fitted="nanchang")
    shares = np.array([active_share(fitted, t) for t in range(0, 86_400, 1800)])
    assert shares.max() <= fitted.busy_share + 1e-9
    assert shares.max(axis=0) == pytest.approx(np.full(5, fitted.busy_share), rel=0.05)
    assert np.abs(shares - [active_share(assumed, t) for t in range(0, 86_400, 1800)]).max() > 0.02
    office, passer = CLUSTERS.index("office"), CLUSTERS.index("passer")
    by_day = active_share(fitted, 13 * 3600)
    assert by_day[passer] > by_day[office]  # at least two clusters are told apart
    n, at = 20_000, 12 * 3600
    bits, _ = run(OwnDemand(np.full(n, office, np.int8), fitted), 40, at)
    assert bits == pytest.approx(mean_rate_bps(fitted, at)[office], rel=0.1)


def test_fitted_files_are_found_beside_the_scenario(tmp_path: Path) -> None:
    save(load("nanchang"), tmp_path / "mine.npz")
    scenario = parse('name = "x"\n[demand]\nfitted = "mine.npz"\n', folder=tmp_path)
    assert scenario.demand.fitted == str((tmp_path / "mine.npz").resolve())
    assert parse('[demand]\nfitted = "nanchang"\n', folder=tmp_path).demand.fitted == "nanchang"
    with pytest.raises(InputError, match=r"demand\.fitted is"):
        parse('name = "x"\n[demand]\nfitted = "other.npz"\n', folder=tmp_path)


def test_a_user_s_slot_varies_as_counters_say() -> None:
    # 1.0 to 1.2 follows from counted places by the law of independent users
    n, at = 3000, 20 * 3600
    demand, users = OwnDemand(random_clusters(n, Streams(3))), people(n)
    memory, bits = demand.start(users, at, Streams(3)), np.zeros(n)
    for k in range(1800):
        memory, now = demand.step(memory, users, at + k, Streams(3))
        bits += now.bits
    assert 1.0 < bits.std() / bits.mean() < 1.4
