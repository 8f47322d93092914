from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.checkpoint import digest
from mndt.engine import step
from mndt.errors import InputError
from mndt.plants import TURNABLE, Change, PhysicalNetwork, Turn, check_turn, reported, turned
from mndt.plants.emulated import EmulatedPlant
from mndt.plants.foreign import ForeignLaws, LongTails, draw_laws, foreign
from mndt.plants.hidden import Hidden, draw_hidden, impose
from mndt.state import Mode, Users
from mndt.streams import Streams
from mndt.world import as_built, start
from plants.small_world import small_world


def test_a_network_with_nothing_hidden_is_the_twin() -> None:
    world = small_world()
    plant = EmulatedPlant(world, period_s=3, seed=5)
    observed = plant.observe()
    state, throughput = start(world, seed=5), []
    for _ in range(3):
        state, kpis = step(world, state, None, Streams(5))
        throughput.append(kpis.throughput_bps)
    assert digest(plant.memory.state) == digest(state)
    assert observed.totals["X.ThroughputDl"] == pytest.approx(np.mean(throughput))
    assert (observed.begin_s, observed.end_s) == (8 * 3600, 8 * 3600 + 3)


def test_it_is_a_physical_network_and_says_what_it_is_set_to() -> None:
    plant = EmulatedPlant(small_world())
    assert isinstance(plant, PhysicalNetwork)
    configuration = plant.observe().configuration
    assert configuration is not None
    assert set(configuration.values) == set(TURNABLE)
    assert configuration.value(plant.cell[0], "power_dbm") == pytest.approx(30.0, abs=1e-4)


def test_a_change_holds_from_the_next_period_on_and_only_once() -> None:
    plant = EmulatedPlant(small_world())
    turn = Turn(plant.cell[0], "power_dbm", 20.0)
    before = plant.observe()
    first = plant.apply(Change("one", (turn,), 0))
    again = plant.apply(Change("one", (turn,), 0))
    after = plant.observe()
    assert first.accepted
    assert not first.repeated
    assert again.repeated
    assert again.revision == first.revision == 1
    assert before.configuration is not None
    assert not before.configuration.has(turn)
    assert after.configuration is not None
    assert after.configuration.has(turn)
    assert after.kpis["X.TransmitPower"][0] <= 0.1 * (1 + 1e-5)


def test_what_does_not_fit_is_refused_as_a_whole() -> None:
    plant = EmulatedPlant(small_world())
    cell, before = plant.cell[0], digest(plant.memory)
    fine = Turn(cell, "electrical_tilt_deg", 9.0)
    for bad in (Turn(cell, "power_dbm", 50.0), Turn(cell, "azimuth_deg", -1.0), Turn("nowhere", "azimuth_deg", 1.0)):
        answer = plant.apply(Change("bad", (fine, bad)))
        assert not answer.accepted
        assert bad.setting in answer.reason or bad.cell in answer.reason
    assert not plant.apply(Change("late", (fine,), revision=7)).accepted
    assert digest(plant.memory) == before


def test_a_network_goes_on_where_it_was_stopped() -> None:
    world = small_world()
    straight, stopped = (EmulatedPlant(world, draw_hidden(world, 3), seed=2) for _ in range(2))
    straight.observe(), stopped.observe()
    resumed = EmulatedPlant(world, draw_hidden(world, 3), seed=2, memory=stopped.memory)
    assert digest(straight.observe().totals) == digest(resumed.observe().totals)


def test_every_hidden_parameter_does_what_it_says() -> None:
    world = small_world()
    plain = world.channel.maps.level >> 1
    sight = (world.channel.maps.level & 1).astype(bool)
    reach = plain > -250 * 64

    def moved_db(hidden: Hidden) -> np.ndarray:
        bent = impose(world, hidden).channel.aimed(as_built(world.city)).level
        assert ((bent & 1).astype(bool) == sight).all()
        return ((bent >> 1) - plain) / 64.0

    n = len(world.city.cells)
    offset = moved_db(Hidden(offset_db=tuple(range(n))))
    assert np.allclose(np.where(reach, offset, np.arange(n)), np.arange(n))
    slope = moved_db(Hidden(obstructed_db_per_decade=10.0))
    assert np.allclose(slope[sight], 0.0)
    assert (slope[~sight & reach] != 0).any()
    wall = moved_db(Hidden(wall_db=5.0))
    assert set(np.unique(wall[reach]).tolist()) == {0.0, -5.0}
    indoor = world.city.sites.indoor[world.city.cells.site]
    assert (wall[:, :, indoor] == 0).all()
    shadows = moved_db(Hidden(shadowing_db=4.0, seed=1))[reach]
    assert shadows.std() == pytest.approx(4.0, rel=0.3)
    assert impose(world, Hidden(noise_rise_db=3.0103)).channel.noise_w == pytest.approx(2 * world.channel.noise_w)


def test_an_aimed_and_bent_map_follows_the_settings() -> None:
    world = small_world()
    channel = impose(world, Hidden(offset_db=2.0)).channel
    for tilt in (0.0, 5.0, 10.0, 15.0, 0.0):
        settings = replace(as_built(world.city), mechanical_tilt_deg=np.full(len(world.city.cells), tilt, np.float32))
        wanted = (world.channel.aimed(settings).level >> 1).clip(-250 * 64) + 2 * 64
        assert np.array_equal((channel.aimed(settings).level >> 1).clip(-248 * 64), wanted)


def test_biased_antennas_point_elsewhere_than_the_network_believes() -> None:
    world = small_world()
    hidden = Hidden(azimuth_bias_deg=10.0, tilt_bias_deg=2.0)
    asked = as_built(world.city)
    real = hidden.aimed(asked)
    assert np.allclose((real.azimuth_deg - asked.azimuth_deg) % 360, 10.0)
    assert np.allclose(real.mechanical_tilt_deg - asked.mechanical_tilt_deg, 2.0)
    configuration = EmulatedPlant(world, hidden).configuration()
    assert np.allclose(configuration.values["azimuth_deg"], asked.azimuth_deg)


def test_demand_is_scaled_by_area() -> None:
    world = small_world()
    scale = tuple(np.linspace(0.5, 2.0, len(world.city.areas) + 1).tolist())
    plain, scaled = EmulatedPlant(world), EmulatedPlant(world, Hidden(demand_scale=scale))
    area = plain.memory.state.users.area
    _, a = step(plain._world, plain.memory.state)
    _, b = step(scaled._world, scaled.memory.state)
    asked = a.user_offered_bits > 0
    assert np.allclose(
        b.user_offered_bits[asked] / a.user_offered_bits[asked], np.float32(scale)[area][asked], rtol=1e-5
    )


def test_a_foreign_network_has_other_laws_and_the_same_city() -> None:
    world = small_world()
    other = foreign(world, seed=4)
    assert other.city is world.city
    reach = world.channel.maps.level > -30000
    differ = np.abs((other.channel.maps.level >> 1) - (world.channel.maps.level >> 1))[reach] / 64.0
    assert np.median(differ) > 3.0
    assert not np.array_equal(other.channel.bank, world.channel.bank)
    assert other.channel.bank.mean() == pytest.approx(1.0, abs=0.02)
    totals = EmulatedPlant(other, period_s=10).observe().totals
    assert totals["X.ThroughputDl"] > 0
    again = foreign(world, seed=4)
    assert np.array_equal(again.channel.maps.level, other.channel.maps.level)


def test_foreign_loss_is_the_closed_form_without_shadows_and_walls() -> None:
    world = small_world()
    laws = ForeignLaws(shadowing_db=0.0, wall_db=0.0, inside_db_per_m=0.0)
    maps = foreign(world, laws=laws).channel.site_maps
    layer, (row, col) = 0, (3, 40)
    layers = maps.layers
    x_m, y_m = (col + 0.5) * maps.cell_m, (row + 0.5) * maps.cell_m
    rise_m = layers.height_m[layer] - maps.user_height_m
    d_m = np.sqrt((x_m - layers.x_m[layer]) ** 2 + (y_m - layers.y_m[layer]) ** 2 + rise_m**2)
    assert d_m > laws.break_m
    wanted = 32.45 + 20 * np.log10(layers.carrier_ghz[layer]) + laws.extra_db
    wanted += 10 * laws.near_exponent * np.log10(laws.break_m) + 10 * laws.far_exponent * np.log10(d_m / laws.break_m)
    assert maps.loss_db()[row, col, layer] == pytest.approx(wanted, abs=0.01)


def test_foreign_traffic_keeps_its_share_of_users_active() -> None:
    laws, n = ForeignLaws(evening=0.0, active_share=0.2, tail=3.0), 20_000
    zeros = np.zeros(n, np.float32)
    users = Users(zeros, zeros, zeros, np.zeros(n, np.int8), np.zeros(n, np.int32))
    source, streams = LongTails(laws), Streams(1)
    memory, shares = source.start(users, 0, streams), []
    for second in range(200):
        memory, demand = source.step(memory, users, second, streams)
        shares.append((demand.service >= 0).mean())
        assert ((demand.bits > 0) == (demand.service >= 0)).all()
    assert np.mean(shares[100:]) == pytest.approx(0.2, abs=0.02)
    absent = replace(users, mode=np.full(n, Mode.ABSENT, np.int8))
    assert (source.step(memory, absent, 0, streams)[1].bits == 0).all()


def test_drawn_laws_differ_from_seed_to_seed() -> None:
    assert all(a != b for a, b in pairwise(draw_laws(seed) for seed in range(5)))


@given(st.sampled_from(sorted(TURNABLE)), st.floats(allow_nan=True, allow_infinity=True))
def test_a_turn_is_in_its_range_or_refused(setting: str, value: float) -> None:
    known, turn = TURNABLE[setting], Turn("a", setting, value)
    inside = known.low <= value <= known.high and (setting != "status" or value in (0, 1, 2))
    if inside:
        check_turn(turn, ("a",))
    else:
        with pytest.raises(InputError):
            check_turn(turn, ("a",))


@settings(max_examples=30)
@given(st.sampled_from([n for n in TURNABLE if n != "status"]), st.floats(-15.0, 20.0))
def test_what_was_turned_is_reported(setting: str, value: float) -> None:
    world = small_world()
    value = min(max(value, TURNABLE[setting].low), TURNABLE[setting].high)
    cell = world.city.cells.name
    turn = Turn(cell[1], setting, value)
    before = as_built(world.city)
    after = turned(before, (turn,), cell)
    assert reported(after, cell, 1, 0.0).has(turn)
    others = [c for c in cell if c != cell[1]]
    old, new = (reported(s, cell, 0, 0.0) for s in (before, after))
    assert all(old.value(c, n) == new.value(c, n) for c in others for n in TURNABLE)


def test_no_power_is_a_number_that_files_can_hold() -> None:
    world = small_world()
    cell = world.city.cells.name
    dark = turned(as_built(world.city), (Turn(cell[0], "power_dbm", -99.0),), cell)
    assert dark.power_w[0] == 0.0
    assert reported(dark, cell, 0, 0.0).value(cell[0], "power_dbm") == -99.0


def test_a_period_is_a_second_or_more() -> None:
    with pytest.raises(InputError, match="period_s is 0"):
        EmulatedPlant(small_world(), period_s=0)
