"""Questions to the twin, against closed forms and against what the twin then does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import mndt
from mndt.city.synthetic import synthetic_city
from mndt.engine import SERVICE_RATE_BPS
from mndt.network.parameters import NetworkParameters
from mndt.state import Status
from mndt.users.population import UserParameters
from mndt.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    city = synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=4, indoor_sites=8)
    cache: Path = tmp_path_factory.mktemp("maps")
    return mndt.build_world(city, users=UserParameters(count=300), cache_dir=cache, n_jobs=1)


@pytest.fixture(scope="module")
def state(world: World) -> mndt.NetworkState:
    state = mndt.start(world)
    for _ in range(3):
        state, _ = mndt.step(world, state, mndt.Action(association="a3", blocks="proportional-fair", power="equal"))
    return state


def only(state: mndt.NetworkState, cell: int, n_cells: int) -> mndt.CellSettings:
    status = np.full(n_cells, Status.OFF, np.int8)
    status[cell] = Status.ON
    return dataclasses.replace(state.settings, status=status)


def test_without_interference_it_is_shannons_rate_at_the_snr(world: World, state: mndt.NetworkState) -> None:
    cells = world.city.cells
    answer = mndt.rate_if(world, state, user=5, cell=2, settings=only(state, 2, len(cells)), blocks=3)
    links = world.channel.links(state.users, state.settings, np.uint32(0))
    snr = float(links.gain[5, 2]) * cells.max_power_w[2] / cells.blocks[2] / float(world.channel.noise_w[2])
    assert answer.rate_bps == pytest.approx(3 * cells.block_hz[2] * np.log2(1 + snr), rel=1e-4)
    assert answer.sinr_db == pytest.approx(10 * np.log10(snr), abs=1e-3)
    assert answer.rsrp_dbm == pytest.approx(10 * np.log10(snr * float(world.channel.noise_w[2])) + 30, abs=1e-3)


def test_more_power_helps_the_user_and_harms_the_neighbour(world: World, state: mndt.NetworkState) -> None:
    user = int(np.flatnonzero(state.connected)[0])
    cell = int(state.serving[user])
    power_w = state.settings.power_w.copy()
    power_w[cell] *= 4
    louder = dataclasses.replace(state.settings, power_w=power_w)
    before, after = (mndt.rate_if(world, state, user, cell, s) for s in (None, louder))
    assert after.rate_bps > before.rate_bps
    assert after.sinr_db == pytest.approx(before.sinr_db + 10 * np.log10(4), abs=1e-3)
    other = next(c for c in range(len(power_w)) if c != cell)
    assert mndt.rate_if(world, state, user, other, louder).sinr_db < mndt.rate_if(world, state, user, other).sinr_db


def test_need_is_that_of_the_recognised_service(world: World, state: mndt.NetworkState) -> None:
    user = int(np.flatnonzero(state.connected)[0])
    cell = int(state.serving[user])
    answer = mndt.rate_if(world, state, user, cell, only(state, cell, len(world.city.cells)), blocks=45)
    assert answer.needed_bps == SERVICE_RATE_BPS[state.service[user]] > 0
    assert answer.satisfied == (answer.rate_bps >= answer.needed_bps)
    nothing = mndt.rate_if(world, state, user, cell, blocks=0)
    assert (nothing.rate_bps, nothing.satisfied) == (0.0, False)


def test_a_sleeping_cell_serves_nobody(world: World, state: mndt.NetworkState) -> None:
    answer = mndt.rate_if(world, state, 0, 1, only(state, 3, len(world.city.cells)))
    assert (answer.rate_bps, answer.blocks, answer.satisfied) == (0.0, 0, False)


def test_the_rate_law_caps_the_answer(world: World, state: mndt.NetworkState) -> None:
    capped = dataclasses.replace(world, network=NetworkParameters(rate_law="64qam"))
    cells, alone = world.city.cells, only(state, 2, len(world.city.cells))
    near = int(world.channel.links(state.users, state.settings, np.uint32(0)).gain[:, 2].argmax())
    answer = mndt.rate_if(capped, state, near, 2, alone, blocks=1)
    assert answer.rate_bps == pytest.approx(5.5546875 * cells.block_hz[2])
    assert mndt.rate_if(world, state, near, 2, alone, blocks=1).rate_bps > answer.rate_bps


@pytest.mark.parametrize(("user", "cell", "blocks", "text"), [
    (300, 0, None, "user is 300"), (0, -1, None, "cell is -1"), (0, 0, 999, "blocks is 999"),
])  # fmt: skip
def test_what_does_not_exist_is_named(world: World, state: mndt.NetworkState, user, cell, blocks, text) -> None:
    with pytest.raises(mndt.InputError, match=text):
        mndt.rate_if(world, state, user, cell, blocks=blocks)


@pytest.mark.parametrize("row", [True, 1.0, np.nan, "1", None])
def test_rows_are_whole_numbers(world: World, state: mndt.NetworkState, row) -> None:
    for given in ({"user": row, "cell": 0}, {"user": 0, "cell": row}):
        with pytest.raises(mndt.InputError, match="allowed is 0 to"):
            mndt.rate_if(world, state, **given)
    if row is not None:
        with pytest.raises(mndt.InputError, match=r"blocks is .*, allowed is 0 to 45"):
            mndt.rate_if(world, state, 0, 0, blocks=row)
    assert mndt.rate_if(world, state, np.int32(1), np.int64(0)) == mndt.rate_if(world, state, 1, 0)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("power_w", np.nan, r"settings\.power_w is nan for cell 3, allowed is 0 W or more"),
        ("power_w", np.inf, r"settings\.power_w is inf for cell 3"),
        ("power_w", -1.0, r"settings\.power_w is -1\.0 for cell 3"),
        ("azimuth_deg", np.nan, r"settings\.azimuth_deg is nan for cell 3, allowed is a finite number"),
        ("status", 7, r"settings\.status is 7 for cell 3"),
    ],
)
def test_settings_are_checked(world: World, state: mndt.NetworkState, name: str, value: float, text: str) -> None:
    values = getattr(state.settings, name).copy()
    values[3] = value
    with pytest.raises(mndt.InputError, match="rate_if: " + text):
        mndt.rate_if(world, state, 0, 0, dataclasses.replace(state.settings, **{name: values}))


def test_settings_have_one_number_for_each_cell(world: World, state: mndt.NetworkState) -> None:
    for wrong in (state.settings.power_w[1:], state.settings.power_w > 0, list(state.settings.power_w)):
        with pytest.raises(mndt.InputError, match=r"settings\.power_w is .*, allowed is .*float32\[12\]"):
            mndt.rate_if(world, state, 0, 0, dataclasses.replace(state.settings, power_w=wrong))
    with pytest.raises(mndt.InputError, match=r"settings is a dict, allowed is mndt\.CellSettings"):
        mndt.rate_if(world, state, 0, 0, {})  # type: ignore[arg-type]
