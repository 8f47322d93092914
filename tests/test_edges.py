"""At the edges: a defined result or one clear sentence, never a wrong number or a broken kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mndt
from mndt import checkpoint, engine, runs
from mndt.border import check_action
from mndt.checks.validate_determinism import DECISIONS
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.network.incident_parameters import Incident
from mndt.network.incidents import NodeStatus
from mndt.network.scheduling import USERS_PER_BLOCK
from mndt.radio.channel import Links
from mndt.radio.parameters import RadioParameters
from mndt.scenario import CitySource, Scenario
from mndt.state import Action, CellSettings, Demand, Kpis, Mode, NetworkState, Status, Users
from mndt.streams import Streams
from mndt.users.population import UserParameters
from mndt.world import World

sys.path.insert(0, str(Path(__file__).parent / "properties"))
import rules
from little_town import Second

SIZE_M = 300.0
EIGHT = 8 * 3600
NAN = np.float32(np.nan)

Build = Callable[..., World]
History = list[tuple[NetworkState, Kpis]]

each_decision = pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: f"{d.association}-{d.blocks}-{d.power}")


@dataclass(frozen=True)
class Crowd:
    """A mobility source: users where they are told to be, those who are not there absent."""

    x_m: np.ndarray
    y_m: np.ndarray
    there: Callable[[int], np.ndarray]  # who is there at a second

    @property
    def n_users(self) -> int:
        return len(self.x_m)

    def start(self, time_s: int, streams: Streams) -> tuple[tuple[()], Users]:
        return self.step((), time_s - 1, streams)

    def step(self, memory: tuple[()], time_s: int, streams: Streams) -> tuple[tuple[()], Users]:
        mode = np.where(self.there(time_s + 1), np.int8(Mode.WALK), np.int8(Mode.ABSENT))
        return (), Users(self.x_m, self.y_m, np.zeros_like(self.x_m), mode, np.full(len(mode), -1, np.int32))


@dataclass(frozen=True)
class Steady:
    """A demand source: everybody wants the same every second."""

    bits: np.ndarray
    service: int = 2

    def start(self, users: Users, time_s: int, streams: Streams) -> tuple[()]:
        return ()

    def step(self, memory: tuple[()], users: Users, time_s: int, streams: Streams) -> tuple[tuple[()], Demand]:
        service = np.where(self.bits > 0, np.int8(self.service), np.int8(-1))
        return (), Demand(service, self.bits)


def always(n: int) -> Callable[[int], np.ndarray]:
    return lambda time_s: np.ones(n, bool)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Worlds of a small town by users, stations and blocks; each is built once."""
    folder = tmp_path_factory.mktemp("maps")

    @cache
    def make(users: int = 60, outdoor: int = 1, indoor: int = 0, blocks: int = 45, incidents: Any = ()) -> World:
        city = synthetic_city(size_m=SIZE_M, lanes=40, areas=12, outdoor_sites=outdoor, indoor_sites=indoor)
        city = replace(city, cells=replace(city.cells, blocks=np.full(len(city.cells), blocks)))
        radio, people = RadioParameters(resolution_m=8.0), UserParameters(count=users)
        return mndt.build_world(city, radio=radio, users=people, incidents=incidents, cache_dir=folder, n_jobs=1)

    return make


def crowded(world: World, n: int, bits: float = 2e6, seed: int = 1) -> World:
    """Everybody at a random place, wanting something every second."""
    x_m, y_m = (np.random.default_rng(seed).random((2, n)) * SIZE_M).astype(np.float32)
    return replace(world, mobility=Crowd(x_m, y_m, always(n)), demand=Steady(np.full(n, bits, np.float32)))


def simulate(world: World, action: Action | None, seconds: int, state: NetworkState | None = None) -> History:
    """Some seconds, each of which keeps the rules of the network."""
    state, streams, history = state or mndt.start(world), Streams(world.seed), []
    for _ in range(seconds):
        after, kpis = mndt.step(world, state, action, streams)
        asked = Demand(after.service, kpis.user_offered_bits)
        rules.check_all(Second(world, state, after.users, asked, action or Action()), after, kpis)
        history.append((after, kpis))
        state = after
    return history


def settings(world: World, **changes: Any) -> CellSettings:
    """As built, with some columns set to one value."""
    built = engine.as_built(world.city)
    return replace(built, **{name: np.full_like(getattr(built, name), value) for name, value in changes.items()})


# Few --------------------------------------------------------------------------------------------


@each_decision
def test_zero_users_are_a_quiet_network(build: Build, decision: Action) -> None:
    world = build(users=0, outdoor=2, indoor=2)
    for state, kpis in simulate(world, decision, 3):
        assert (kpis.throughput_bps, kpis.outage_ratio, kpis.satisfied_share, kpis.handovers) == (0, 0, 1, 0)
        assert kpis.cell_consumed_w.min() > 0  # cells that wait for users consume
        assert len(state.serving) == 0


def test_zero_users_can_be_decided_upon(build: Build) -> None:
    world = build(users=0, outdoor=2, indoor=2)
    allocation = mndt.start(world).allocation
    decision = Action(None, np.zeros(0, np.int32), allocation.user_of_block, allocation.power_w)
    assert simulate(world, decision, 2)[-1][1].throughput_bps == 0


@each_decision
def test_one_user_in_one_cell_is_served_alone(build: Build, decision: Action) -> None:
    world = crowded(build(), 1)
    for state, kpis in simulate(world, decision, 3):
        assert state.connected.all()
        assert kpis.user_delivered_bits[0] > 0
        assert kpis.handovers == 0


@each_decision
@pytest.mark.parametrize("blocks", [1, 1000])
def test_a_cell_of_one_block_and_one_of_a_thousand(build: Build, decision: Action, blocks: int) -> None:
    """As many users are admitted as there are places, and no block is left while somebody waits."""
    world = crowded(build(blocks=blocks), 60)
    places = blocks * USERS_PER_BLOCK[decision.blocks or engine.OWN_BLOCKS]
    for _, kpis in simulate(world, decision, 3):
        assert kpis.cell_connected[0] == min(60, places)
        assert kpis.cell_refused[0] == 60 - kpis.cell_connected[0]
        assert kpis.cell_blocks_available[0] == blocks
        assert kpis.cell_blocks_used[0] >= min(blocks, kpis.cell_connected[0])


def test_the_exact_association_leaves_out_those_who_cost_most(build: Build) -> None:
    """More users than places: all places are taken, at the least total path loss."""
    from scipy.optimize import linear_sum_assignment

    world = crowded(build(outdoor=3, blocks=2), 20)
    after, kpis = simulate(world, Action(association="exact"), 1)[0]
    loss_db = -world.channel.maps.gain_db(after.users.x_m, after.users.y_m).astype(float)
    served = np.flatnonzero(after.connected)
    row, place = linear_sum_assignment(np.repeat(loss_db, 2, axis=1))
    assert len(served) == 6
    assert loss_db[served, after.serving[served]].sum() == pytest.approx(loss_db[row, place // 2].sum(), abs=1e-9)
    assert kpis.cell_refused.sum() == 14


# Cells that do not serve ------------------------------------------------------------------------


@each_decision
@pytest.mark.parametrize(("status", "waits_s"), [(Status.SLEEP, 1), (Status.OFF, 10)])
def test_all_cells_down_and_all_awake_again(build: Build, decision: Action, status: Status, waits_s: int) -> None:
    """Nobody is served while they are down; they serve again once the time to wake up is over, not before."""
    world = crowded(build(outdoor=3), 40)
    before = simulate(world, decision, 2)[-1]
    down = simulate(world, replace(decision, settings=settings(world, status=status)), 3, before[0])
    for state, kpis in down:
        assert (kpis.throughput_bps, kpis.outage_ratio, kpis.cell_power_w.sum()) == (0, 1, 0)
        assert (kpis.cell_blocks_available == 0).all()
        assert (state.serving == -1).all()
        assert (kpis.cell_consumed_w < before[1].cell_consumed_w).all()
    assert (down[0][1].cell_consumed_w == 0).all() == (status == Status.OFF)
    awake = simulate(world, replace(decision, settings=settings(world)), waits_s + 2, down[-1][0])
    assert [kpis.throughput_bps > 0 for _, kpis in awake] == [False] * waits_s + [True, True]


@each_decision
def test_a_cell_without_power_to_transmit_serves_nobody(build: Build, decision: Action) -> None:
    world = crowded(build(outdoor=3), 40)
    mute = settings(world, power_w=0.0)
    for _, kpis in simulate(world, replace(decision, settings=mute), 3):
        assert (kpis.throughput_bps, kpis.outage_ratio, kpis.cell_power_w.sum()) == (0, 1, 0)
        assert (kpis.cell_consumed_w > 0).all()  # it is on
    mute.power_w[0] = world.city.cells.max_power_w[0]
    for state, kpis in simulate(world, replace(decision, settings=mute), 3):
        assert kpis.throughput_bps > 0
        assert set(state.serving.tolist()) <= {0, -1}


# Places -----------------------------------------------------------------------------------------


def test_a_user_on_top_of_an_antenna(build: Build) -> None:
    """The strongest cell is the one above; no distance is below a metre, so gains stay below free space there."""
    world = build(outdoor=3)
    sites, n = world.city.sites, len(world.city.sites)
    x_m, y_m = sites.x_m.astype(np.float32), sites.y_m.astype(np.float32)
    world = replace(world, mobility=Crowd(x_m, y_m, always(n)), demand=Steady(np.full(n, 1e6, np.float32)))
    for state, kpis in simulate(world, Action(association="strongest", blocks="max-rate"), 3):
        np.testing.assert_array_equal(world.city.cells.site[state.serving], np.arange(n))
        assert (kpis.user_delivered_bits > 0).all()
        assert np.isfinite(kpis.user_sinr).all()
    users = state.users
    gain_db = world.channel.maps.gain_db(users.x_m, users.y_m)
    assert gain_db.max() < -20 * np.log10(4 * np.pi * 1.0 * 3.5e9 / 299_792_458)
    assert (gain_db[np.arange(n), state.serving] > -100).all()


def test_beyond_the_map_its_border_counts(build: Build) -> None:
    x_m = np.float32([-1.0, -1e6, SIZE_M + 1, 1e6, 150.0, 150.0, -50.0, 1e6])
    y_m = np.float32([150.0, 150.0, 150.0, 150.0, -1e6, 1e6, -50.0, 1e6])
    world = build(outdoor=3)
    calm = replace(world.channel.parameters, los_fading="none", nlos_fading="none").fading  # which goes by place
    world = replace(world, channel=replace(world.channel, bank=calm.bank(margin=len(world.city.cells))))
    inside = np.clip(np.stack((x_m, y_m)), 0.0, SIZE_M - 0.01).astype(np.float32)
    found = []
    for x, y in ((x_m, y_m), inside):
        here = replace(world, mobility=Crowd(x, y, always(8)), demand=Steady(np.full(8, 1e6, np.float32)))
        found.append(simulate(here, Action(association="a3"), 3)[-1][1])
    np.testing.assert_array_equal(found[0].user_rate_bps, found[1].user_rate_bps)
    assert found[0].throughput_bps > 0


# A population that comes and goes ---------------------------------------------------------------


@each_decision
def test_a_population_that_grows_and_shrinks_every_second(build: Build, decision: Action) -> None:
    """Who is absent holds and asks for nothing, is in no log, and comes back with nothing waiting."""
    world, n = crowded(build(outdoor=3, blocks=10), 80, bits=1e7), 80

    def there(time_s: int) -> np.ndarray:
        return np.random.default_rng(time_s).random(n) < (time_s % 4) / 3  # from nobody to everybody

    world = replace(world, mobility=replace(world.mobility, there=there))
    history = simulate(world, decision, 12)
    for before, (state, kpis) in zip([None, *history[:-1]], history, strict=True):
        present = there(state.time_s)
        assert kpis.area_users.sum() == np.count_nonzero(present)
        assert kpis.user_offered_bits.sum() == 1e7 * np.count_nonzero(present)
        assert present[kpis.mobility.user].all()
        assert (state.serving[~present & (kpis.user_blocks > 0)] == -1).all()
        if before is not None:
            back = present & (before[0].users.mode == Mode.ABSENT)
            assert not kpis.user_backlog_bits[back].any()
            assert not np.isin(kpis.mobility.user, np.flatnonzero(back)).any()
    assert {np.count_nonzero(kpis.user_active) for _, kpis in history} > {0, n}


@each_decision
def test_absent_users_change_nothing_for_the_others(build: Build, decision: Action) -> None:
    """With rows of absent users behind, everybody else gets the same to the bit; their places may be no numbers."""
    world = build(outdoor=3, blocks=10)
    alone, n = crowded(world, 50), 50
    nowhere = np.full(30, NAN)
    more = Crowd(
        np.append(alone.mobility.x_m, nowhere), np.append(alone.mobility.y_m, nowhere), lambda time_s: np.arange(80) < n
    )
    behind = replace(alone, mobility=more, demand=Steady(np.full(80, 2e6, np.float32)))
    for (one, kpis), (two, kpis_two) in zip(simulate(alone, decision, 5), simulate(behind, decision, 5), strict=True):
        for name, values in vars(kpis_two).items():
            if isinstance(values, np.ndarray):
                np.testing.assert_array_equal(values[:n] if name.startswith("user_") else values, getattr(kpis, name))
        np.testing.assert_array_equal(one.buffer_bits, two.buffer_bits[:n])
        assert kpis.throughput_bps == kpis_two.throughput_bps
        np.testing.assert_array_equal(one.allocation.user_of_block, two.allocation.user_of_block)


# What sources say -------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0.0, 1e-30, 1e30])
@each_decision
def test_no_demand_and_any_demand(build: Build, decision: Action, bits: float) -> None:
    """Down to less than a bit, and up to more than all cells of the world carry."""
    for _, kpis in simulate(crowded(build(outdoor=2), 30, bits), decision, 3):
        assert np.count_nonzero(kpis.user_active) == (30 if bits else 0)
        assert kpis.user_offered_bits.max() == np.float32(bits)
        if bits != 1e-30:
            assert kpis.satisfied_share == pytest.approx(float(bits == 0), abs=1e-12)


def broken(source: Any, method: str, change: Callable[[Any], Any]) -> Any:
    """The same source, but what it says is changed."""
    kind = type("Broken", (type(source),), {})
    copy = kind(**vars(source))

    def step(memory: Any, *arguments: Any) -> tuple[Any, Any]:
        memory, said = getattr(type(source), method)(source, memory, *arguments)
        return memory, change(said)

    object.__setattr__(copy, method, step)
    return copy


def at_row(values: np.ndarray, row: int, value: Any) -> np.ndarray:
    return np.where(np.arange(len(values)) == row, np.asarray(value, values.dtype), values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda u: replace(u, x_m=at_row(u.x_m, 3, np.nan)),
            "users of Broken: x_m is nan for user 3, allowed is a fin",
        ),
        (
            lambda u: replace(u, y_m=at_row(u.y_m, 0, np.inf)),
            "users of Broken: y_m is inf for user 0, allowed is a fin",
        ),
        (lambda u: replace(u, y_m=u.y_m[:-1]), r"y_m is float32\[29\], allowed is float32\[30\]; give it that shape"),
        (lambda u: replace(u, x_m=u.x_m.astype(float)), r"x_m is float64\[30\], allowed is float32\[30\]; convert it"),
        (lambda u: replace(u, mode=u.mode.tolist()), r"mode is a list, allowed is an array int8\[30\]"),
        (lambda u: replace(u, area=u.area + np.int32(99)), "area is 98, allowed is -1 to"),
    ],
)
def test_broken_users_are_refused_with_their_source(build: Build, change: Any, sentence: str) -> None:
    world = crowded(build(), 30)
    world = replace(world, mobility=broken(world.mobility, "step", change))
    with pytest.raises(InputError, match=sentence):
        mndt.step(world, mndt.start(world))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda d: replace(d, bits=at_row(d.bits, 7, np.nan)),
            "demand of Broken: bits is nan for user 7, allowed is a",
        ),
        (
            lambda d: replace(d, bits=at_row(d.bits, 7, -1.0)),
            "bits is -1.0 for user 7, allowed is a number, 0 or more; mend the source",
        ),
        (lambda d: replace(d, bits=at_row(d.bits, 7, np.inf)), "bits is inf for user 7"),
        (lambda d: replace(d, service=at_row(d.service, 2, 7)), "service is 7 for user 2, allowed is -1 to 6"),
        (lambda d: replace(d, service=at_row(d.service, 2, -2)), "service is -2 for user 2, allowed is -1 to 6"),
        (
            lambda d: replace(d, service=d.service.astype(int)),
            r"service is int64\[30\], allowed is int8\[30\]; convert",
        ),
    ],
)
def test_broken_demand_is_refused_with_its_source(build: Build, change: Any, sentence: str) -> None:
    world = crowded(build(), 30)
    world = replace(world, demand=broken(world.demand, "step", change))
    with pytest.raises(InputError, match=sentence):
        mndt.step(world, mndt.start(world))


# Broken maps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, -1e-9, np.inf])
def test_gains_that_are_no_gains_are_refused(value: float) -> None:
    gain = np.full((3, 2), 1e-9)
    gain[2, 1] = value
    with pytest.raises(InputError, match=r"user 2, cell 1: gain is .*, allowed is linear gains of 0 or more"):
        Links.of_gain(gain, budget_w=np.float32([1, 1]), blocks=np.int32([1, 1]), noise_w=np.float32([1e-15, 1e-15]))


@pytest.mark.parametrize(
    "part", ["buildings.height_m", "sites.x_m", "cells.height_m", "cells.carrier_hz", "cells.azimuth_deg"]
)
def test_a_city_with_numbers_that_are_none_is_refused(build: Build, part: str) -> None:
    city = build(outdoor=2).city
    table, column = part.split(".")
    values = getattr(getattr(city, table), column).astype(float)
    bad = replace(city, **{table: replace(getattr(city, table), **{column: at_row(values, 1, np.nan)})})
    with pytest.raises(InputError, match=rf"synthetic city 0, row 1: {part} is nan, allowed is a finite number"):
        mndt.build_world(bad)


def test_a_damaged_map_is_built_anew_and_gives_the_same_bytes(tmp_path: Path, build: Build) -> None:
    def after_two_seconds() -> str:
        world = mndt.build_world(
            build(outdoor=2).city, radio=RadioParameters(resolution_m=8.0), users=UserParameters(count=20),
            cache_dir=tmp_path, n_jobs=1,
        )  # fmt: skip
        return checkpoint.digest(simulate(world, DECISIONS[1], 2)[-1])

    whole = after_two_seconds()
    files = sorted(tmp_path.glob("maps-*.npy"))
    assert files
    for kept in files:
        content = bytearray(kept.read_bytes())
        content[-1] ^= 0xFF
        kept.write_bytes(bytes(content))
        assert after_two_seconds() == whole
        assert kept.read_bytes() != bytes(content)
    np.save(files[0], np.full((3, 3), np.nan))  # another kind of array under the same name
    assert after_two_seconds() == whole


# Decisions that cannot be -----------------------------------------------------------------------


FREE = np.full((3, 10), -1, np.int32)
WATTS = np.zeros((3, 10), np.float32)
NOBODY = np.zeros(30, np.int32)


def holding(cell: int, block: int, user: int) -> Action:
    holder = FREE.copy()
    holder[cell, block] = user
    return Action(blocks=holder)


def turned(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[CellSettings], Action]:
    return lambda built: Action(settings=replace(built, **{name: change(getattr(built, name))}))


WRONG_ARRAYS: list[tuple[Any, str]] = [
    ({"association": "a3"}, "the policy's answer is a dict, allowed is a mndt.Action"),
    (Action(association="closest"), "action: association is 'closest', allowed is a3"),
    (Action(blocks="fair"), "blocks is 'fair', allowed is max-rate"),
    (Action(power="ful"), "power is 'ful', allowed is equal, fair, need"),
    (Action(association=[0] * 30), r"association is a list, allowed is an array int32\[30\], or one of a3, exact"),
    (
        Action(association=NOBODY.astype(int)),
        r"int64\[30\], allowed is int32\[30\]; convert it with .astype\(np.int32\)",
    ),
    (Action(association=NOBODY[1:]), r"association is int32\[29\], allowed is int32\[30\]; give it that shape"),
    (
        Action(association=at_row(NOBODY, 4, 3)),
        r"association is 3 for user 4, allowed is -1 to 2 \(the row of a cell, -1",
    ),
    (Action(association=NOBODY - np.int32(2)), "association is -2 for user 0"),
    (Action(blocks=FREE.T.copy()), r"blocks is int32\[10, 3\], allowed is int32\[3, 10\]"),
    (Action(blocks=FREE.astype(np.float32)), r"blocks is float32\[3, 10\], allowed is int32"),
    (holding(2, 9, 30), r"blocks is 30 for block 9 of cell 2, allowed is -1 to 29 \(the row of a user, -1 = free\)"),
    (holding(1, 5, 0), "blocks is user 0 on block 5 of cell 1, allowed is -1 beyond the 5 it has"),
    (Action(power=WATTS.astype(float)), r"power is float64\[3, 10\], allowed is float32"),
    (Action(power=WATTS - 1), "power is -1.0 on block 0 of cell 0, allowed is 0 W or more"),
    (Action(power=WATTS + NAN), "power is nan on block 0 of cell 0, allowed is 0 W or more"),
    (
        Action(power=WATTS + np.float32(1 / 9)),
        "power is 1.11111 W in cell 0, allowed is at most the 1 W of its",
    ),
]

WRONG_SETTINGS: list[tuple[Any, str]] = [
    (lambda built: Action(settings={"power_w": 1}), "settings is a dict, allowed is mndt.CellSettings"),
    (turned("azimuth_deg", lambda v: np.append(v, v)), r"azimuth_deg is float32\[6\], allowed is float32\[3\]"),
    (
        turned("mechanical_tilt_deg", lambda v: v + NAN),
        "action: settings.mechanical_tilt_deg is nan for cell 0, a",
    ),
    (
        turned("handover_offset_db", lambda v: v + NAN),
        "settings.handover_offset_db is nan for cell 0, allowed is a",
    ),
    (turned("power_w", lambda v: v * 2), "settings.power_w is 2.0 for cell 0, allowed is 0 to 1 W, its maximum"),
    (turned("power_w", lambda v: v + NAN), "settings.power_w is nan for cell 0, allowed is 0 to 1 W"),
    (turned("status", lambda v: v + np.int8(3)), "settings.status is 3 for cell 0, allowed is 0 on, 1 asleep or 2 off"),
    (turned("status", lambda v: v.astype(int)), r"settings.status is int64\[3\], allowed is int8\[3\]; convert"),
]


@pytest.mark.parametrize(("answer", "sentence"), WRONG_ARRAYS + WRONG_SETTINGS)
def test_a_decision_that_cannot_be_is_refused_in_one_sentence(build: Build, answer: Any, sentence: str) -> None:
    world = crowded(build(outdoor=3, blocks=10), 30)
    world = replace(world, city=replace(world.city, cells=replace(world.city.cells, blocks=np.array([10, 5, 10]))))
    state = mndt.start(world)
    with pytest.raises(InputError, match=sentence) as refused:
        mndt.step(world, state, answer(state.settings) if callable(answer) else answer)
    assert "\n" not in str(refused.value)


def test_decisions_about_cells_that_fail_fall_away(build: Build) -> None:
    """A policy cannot know what fails in the coming second."""
    world = build(outdoor=3, incidents=(Incident("cell-failure", "08:00:01", 2, cell="O001-1"),))
    world = crowded(world, 30)
    lost = world.city.cells.name.index("O001-1")
    state = mndt.start(world)
    serving = (np.arange(30) % 3).astype(np.int32)
    holder = np.full(state.allocation.user_of_block.shape, -1, np.int32)
    for c in range(3):
        holder[c, :10] = np.flatnonzero(serving == c)
    power_w = np.full(holder.shape, 0.01, np.float32)
    history = simulate(world, Action(None, serving, holder, power_w), 14)
    for (after, kpis), fails in zip(history, [False] + [True] * 12 + [False], strict=True):
        assert after.connected[serving != lost].all()
        assert after.connected[serving == lost].all() != fails
        assert (kpis.cell_power_w[lost] == 0) == fails
        given = holder >= 0
        given[lost] &= not fails
        np.testing.assert_array_equal(after.allocation.user_of_block >= 0, given)
        assert (after.allocation.power_w[holder < 0] == 0).all()  # power without a user is not radiated


def test_blocks_of_other_cells_users_and_of_the_idle_stay_free(build: Build) -> None:
    world = crowded(build(outdoor=3), 6)
    world = replace(world, demand=Steady(np.float32([1e6, 1e6, 0, 1e6, 1e6, 1e6])))
    holder = np.full(mndt.start(world).allocation.user_of_block.shape, -1, np.int32)
    holder[0, :4], holder[1, :3] = [0, 1, 2, 3], [3, 4, 0]
    serving = np.int32([0, 0, 0, 1, 1, -1])
    after, _ = simulate(world, Action(association=serving, blocks=holder), 1)[0]
    assert after.allocation.user_of_block[:2, :4].tolist() == [[0, 1, -1, -1], [3, 4, -1, -1]]


def test_looking_at_a_decision_takes_no_time(build: Build) -> None:
    """Names and nothing at all are looked at within 30 microseconds, so that a second's cost does not change."""
    from time import process_time

    world = crowded(build(outdoor=3), 30)
    state, decision = mndt.start(world), Action(association="a3", blocks="max-rate", power="need")
    best_s = 1.0
    for _ in range(20):
        begin = process_time()
        for _ in range(100):
            check_action(world, state, decision)
        best_s = min(best_s, (process_time() - begin) / 100)
    assert best_s < 30e-6


# Incidents --------------------------------------------------------------------------------------

OVERLAPPING = (
    Incident("cell-failure", "08:00:02", 4, cell="O001-1"),
    Incident("cell-failure", "08:00:04", 4, site="O001"),
    Incident("power-cut", "08:00:03", 3, battery_min=1 / 60, x_m=150.0, y_m=150.0, radius_m=300.0),
    Incident("demand-surge", "08:00:02", 5, magnitude=3.0, x_m=150.0, y_m=150.0, radius_m=300.0),
    Incident("demand-surge", "08:00:04", 5, magnitude=2.0, x_m=150.0, y_m=150.0, radius_m=300.0),
)


@each_decision
def test_incidents_that_overlap(build: Build, decision: Action) -> None:
    """The worst of what is under way counts, surges multiply, and all is over when the last one is."""
    world = crowded(build(outdoor=3, incidents=OVERLAPPING), 30)
    first = world.city.cells.name.index("O001-1")
    ok, battery, failure, dark = NodeStatus
    history = simulate(world, decision, 22)
    seen = [int(kpis.cell_node_status[first]) for _, kpis in history]
    assert seen[:10] == [ok, ok, failure, failure, dark, dark, failure, failure, ok, ok]
    other = [int(kpis.cell_node_status[(first + 1) % 3]) for _, kpis in history]
    assert other[:7] == [ok, ok, ok, battery, dark, dark, ok]
    surge = [kpis.user_offered_bits[0] / 2e6 for _, kpis in history]
    assert surge[:10] == [1, 1, 3, 3, 6, 6, 6, 2, 2, 1]
    assert (history[-1][1].cell_status == Status.ON).all()
    assert history[-1][0].connected.any()


@each_decision
def test_a_state_saved_amid_incidents_goes_on_with_the_same_bytes(
    build: Build, decision: Action, tmp_path: Path
) -> None:
    world = crowded(build(outdoor=3, incidents=OVERLAPPING), 30)
    whole = [checkpoint.digest(second) for second in simulate(world, decision, 10)]
    for pause in (3, 5):
        state = simulate(world, decision, pause)[-1][0]
        checkpoint.save(tmp_path / "state.npz", state)
        loaded, _ = checkpoint.load(tmp_path / "state.npz", mndt.start(world))
        rest = simulate(world, decision, 10 - pause, loaded)
        assert [checkpoint.digest(second) for second in rest] == whole[pause:]


def test_a_run_resumed_amid_an_incident_leaves_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = CitySource(source="synthetic", size_m=SIZE_M, lanes=40, areas=12, outdoor_sites=2, indoor_sites=1)
    cut = Incident("power-cut", "08:00:01", 10, site="O001", battery_min=0.1)
    fails = Incident("cell-failure", "08:00:05", 20, cell="O002-1")
    scenario = Scenario(name="edge", city=city, users=UserParameters(count=40), incidents=(cut, fails))
    monkeypatch.setattr(runs, "STEPS_PER_PART", 8)
    quiet = {"progress": False, "cache_dir": tmp_path / "maps", "n_jobs": 1}

    def run(folder: str) -> runs.Run:
        return runs.run(scenario, policy="proportional-fair", minutes=0.5, out=tmp_path / folder, **quiet)

    whole = run("whole")
    step = runs.Recorder.step

    def stopped(self: runs.Recorder, before: NetworkState, *rest: Any) -> NetworkState:
        if before.time_s == EIGHT + 10:  # amid both; the last checkpoint is two seconds old
            raise KeyboardInterrupt
        return step(self, before, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(runs.Recorder, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            run("part")
    resumed = runs.resume(tmp_path / "part", **quiet)
    files = sorted(path.relative_to(whole.folder) for path in whole.folder.rglob("*.parquet"))
    assert files == sorted(path.relative_to(resumed.folder) for path in resumed.folder.rglob("*.parquet"))
    for name in (*files, Path("checkpoint.npz"), Path("run.json")):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes(), name
