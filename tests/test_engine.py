"""One second of the network: the flow, its invariants, and the same bytes for the same seed."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import mndt
from mndt.city.synthetic import synthetic_city
from mndt.optimise.policy import POLICIES
from mndt.radio.parameters import RadioParameters
from mndt.state import Action, Kpis, Mobility, NetworkState, Status
from mndt.streams import Streams
from mndt.users.demand import DemandParameters
from mndt.users.population import UserParameters
from mndt.world import World, as_built


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    city = synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=4, indoor_sites=8)
    cache: Path = tmp_path_factory.mktemp("maps")
    return mndt.build_world(city, users=UserParameters(count=400), cache_dir=cache, n_jobs=1)


def simulate(world: World, name: str, steps: int = 15, seed: int = 3) -> list[tuple[NetworkState, Kpis]]:
    policy, state, streams = mndt.make_policy(name, world), mndt.start(world, seed=seed), Streams(seed)
    history = []
    for _ in range(steps):
        state, kpis = mndt.step(world, state, policy(state), streams)
        history.append((state, kpis))
    return history


def bytes_of(thing: object) -> list[bytes]:
    if dataclasses.is_dataclass(thing):
        return [b for field in dataclasses.fields(thing) for b in bytes_of(getattr(thing, field.name))]
    if isinstance(thing, tuple):
        return [b for part in thing for b in bytes_of(part)]
    array = np.asarray(thing)
    if array.dtype.names:  # a table: padding between its columns is nobody's
        return [b for name in array.dtype.names for b in bytes_of(array[name])]
    return [array.tobytes()]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_keeps_the_rules_of_the_network(world: World, name: str) -> None:
    cells = world.city.cells
    for state, kpis in simulate(world, name):
        users, power_w = state.allocation.user_of_block, state.allocation.power_w
        used = users >= 0
        assert (power_w[~used] == 0).all()
        assert (power_w.sum(axis=1) <= state.settings.power_w * (1 + 1e-6)).all()
        cell_of_block = np.broadcast_to(np.arange(len(cells))[:, None], users.shape)
        np.testing.assert_array_equal(state.serving[users[used]], cell_of_block[used])
        assert state.connected[users[used]].all()
        assert (state.buffer_bits >= 0).all()
        assert (kpis.user_delivered_bits <= kpis.user_backlog_bits + kpis.user_offered_bits + 1e-3).all()
        assert (kpis.user_delivered_bits <= kpis.user_rate_bps * (1 + 1e-6)).all()
        assert 0 <= kpis.satisfied_share <= 1
        assert 0 <= kpis.outage_ratio <= 1
        assert kpis.user_active.any()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_same_seed_same_bytes(world: World, name: str) -> None:
    first, second = simulate(world, name), simulate(world, name)
    assert bytes_of(first[-1]) == bytes_of(second[-1])
    other = simulate(world, name, seed=4)
    assert bytes_of(first[-1][1]) != bytes_of(other[-1][1])


def test_bits_are_conserved(world: World) -> None:
    """What waits after a second is what waited before, plus arrivals, minus deliveries, minus what was given up."""
    history = simulate(world, "proportional-fair")
    for (before, _), (after, kpis) in pairwise(history):
        waited = kpis.user_backlog_bits + kpis.user_offered_bits
        np.testing.assert_allclose(after.buffer_bits, waited - kpis.user_delivered_bits, atol=1.0)
        assert (kpis.user_backlog_bits <= before.buffer_bits * (1 + 1e-6)).all()


def test_step_writes_nothing_it_was_given(world: World) -> None:
    state = simulate(world, "fundamentals", steps=3)[-1][0]
    before = bytes_of(state)
    mndt.step(world, state)
    assert bytes_of(state) == before


def test_one_user_in_one_cell_gets_shannons_rate(tmp_path: Path) -> None:
    """No interference, no fading: B log2(1 + g P / N), by hand."""

    city = synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=1, indoor_sites=0)
    still = RadioParameters(los_fading="none", nlos_fading="none")
    world = mndt.build_world(city, radio=still, users=UserParameters(count=1), cache_dir=tmp_path, n_jobs=1)
    state = mndt.start(world)
    busy = dataclasses.replace(state, buffer_bits=np.float32([1e9]), service=np.int8([2]))
    after, kpis = mndt.step(world, busy)
    gain_db = world.channel.maps.gain_db(after.users.x_m, after.users.y_m)[0, 0]
    snr = 10 ** (gain_db / 10) * city.cells.max_power_w[0] / (180e3 * 10 ** (-174 / 10) * 1e-3)
    assert kpis.user_rate_bps[0] == pytest.approx(180e3 * np.log2(1 + snr), rel=1e-4)


def test_all_cells_off_refuses_everyone(world: World) -> None:
    off = dataclasses.replace(as_built(world.city), status=np.full(len(world.city.cells), Status.OFF, np.int8))
    state, kpis = mndt.step(world, mndt.start(world), Action(settings=off))
    assert kpis.throughput_bps == 0
    assert kpis.outage_ratio == 1
    assert not state.connected.any()
    assert kpis.cell_power_w.sum() == 0


def test_nobody_at_all_is_a_quiet_network(tmp_path: Path) -> None:
    city = synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=2, indoor_sites=2)
    world = mndt.build_world(city, users=UserParameters(count=0), cache_dir=tmp_path, n_jobs=1)
    for name in POLICIES:
        _, kpis = simulate(world, name, steps=2)[-1]
        assert (kpis.throughput_bps, kpis.outage_ratio, kpis.satisfied_share) == (0, 0, 1)


def test_an_action_of_arrays_is_obeyed(world: World) -> None:
    state = mndt.start(world)
    n_cells, n_blocks = state.allocation.user_of_block.shape
    serving = np.zeros(len(state.users), np.int32)
    blocks = np.full((n_cells, n_blocks), -1, np.int32)
    blocks[0, :5] = [1, 2, 3, 1, 2]
    power_w = np.where(blocks >= 0, 0.01, 0).astype(np.float32)
    waiting = np.full(len(state.users), 1e9, np.float32)
    state = dataclasses.replace(state, buffer_bits=waiting, service=np.full(len(waiting), 2, np.int8))
    after, _ = mndt.step(world, state, Action(association=serving, blocks=blocks, power=power_w))
    np.testing.assert_array_equal(after.allocation.user_of_block, blocks)
    np.testing.assert_array_equal(after.allocation.power_w, power_w)


def test_turning_an_antenna_changes_only_what_it_covers(world: World) -> None:
    built = as_built(world.city)
    outdoor = int(np.flatnonzero(~world.city.sites.indoor[world.city.cells.site])[0])
    sector = dataclasses.replace(built, power_w=built.power_w.copy())
    sector.power_w[outdoor] /= 2
    _, loud = mndt.step(world, mndt.start(world), Action(settings=built))
    _, soft = mndt.step(world, mndt.start(world), Action(settings=sector))
    assert soft.cell_power_w[outdoor] <= loud.cell_power_w[outdoor] / 2 * (1 + 1e-6)


@pytest.mark.parametrize(("seed", "scale"), [(1, 0.0), (2, 0.3), (3, 5.0), (4, 100.0)])
def test_no_load_breaks_a_kpi(world: World, seed: int, scale: float) -> None:
    louder = dataclasses.replace(
        world,
        demand=dataclasses.replace(world.demand, parameters=dataclasses.replace(world.demand.parameters, scale=scale)),
    )
    for _, kpis in simulate(louder, "proportional-fair", steps=3, seed=seed):
        assert np.isfinite(kpis.throughput_bps)
        assert 0 <= kpis.satisfied_share <= 1
        assert (kpis.cell_blocks_used <= kpis.cell_blocks_available).all()


def test_a_refused_user_is_not_handed_over_again_for_a_while(tmp_path: Path) -> None:
    """Everybody asks for much in a town of small cells: who is refused waits out the time to retry."""
    city = synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=4, indoor_sites=8)
    city = dataclasses.replace(city, cells=dataclasses.replace(city.cells, blocks=np.full(12, 20)))
    users, demand = UserParameters(count=500), DemandParameters(scale=5.0, busy_share=0.9)
    world = mndt.build_world(
        city, radio=RadioParameters(engine="tr38901"), users=users, demand=demand, cache_dir=tmp_path, n_jobs=1
    )
    state, action = mndt.start(world), Action(association="a3")
    until_ms, refusals = np.zeros(500), 0
    for _ in range(30):
        now_ms = 1000 * state.time_s
        state, kpis = mndt.step(world, state, action)
        tried = kpis.mobility.user[kpis.mobility.kind != Mobility.RADIO_LINK_FAILURE]
        assert (until_ms[tried] <= now_ms).all()
        refused = kpis.mobility.user[kpis.mobility.kind == Mobility.REFUSED]
        until_ms[refused] = now_ms + 1000 + 5000
        refusals += len(refused)
    assert refusals > 10
