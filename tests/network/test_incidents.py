from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt import scenario as scenarios
from mndt.city.model import Areas
from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.network import energy
from mndt.network.energy import EnergyModel
from mndt.network.energy_parameters import EnergyParameters
from mndt.network.incident_parameters import Incident
from mndt.network.incidents import (
    EVENT_SESSION_S,
    NodeStatus,
    demand_at,
    entries,
    node_status,
    prepare,
    settings_at,
)
from mndt.state import CellSettings, Demand, Mode, Status, Users
from mndt.streams import Streams

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_city import small_city

CITY = small_city()  # cells mast-1, mast-2, mast-3 on (100, 150) and lobby-1 on (140, 230); one area
NOON_S = 12 * 3600
SERVICE = [service.name for service in SERVICES]


def make_settings(n_cells: int = 4) -> CellSettings:
    zeros = np.zeros(n_cells, np.float32)
    return CellSettings(zeros + 1, zeros, zeros, zeros, zeros, np.full(n_cells, Status.ON, np.int8))


def make_users(x_m, y_m, area=None, mode=None) -> Users:
    n = len(x_m)
    return Users(
        x_m=np.asarray(x_m, np.float32),
        y_m=np.asarray(y_m, np.float32),
        speed_mps=np.zeros(n, np.float32),
        mode=np.full(n, Mode.INSIDE, np.int8) if mode is None else np.asarray(mode, np.int8),
        area=np.full(n, -1, np.int32) if area is None else np.asarray(area, np.int32),
    )


def make_demand(service, bits) -> Demand:
    return Demand(np.asarray(service, np.int8), np.asarray(bits, np.float32))


def off_at(script, time_s) -> list[str]:
    status = settings_at(script, make_settings(), time_s).status
    return [CITY.cells.name[c] for c in np.flatnonzero(status == Status.OFF)]


def test_a_failed_cell_is_off_until_it_is_repaired():
    script = prepare([Incident("cell-failure", "12:00", 60, cell="mast-2")], CITY)
    assert [off_at(script, t) for t in (NOON_S - 1, NOON_S, NOON_S + 59, NOON_S + 60)] == [
        [],
        ["mast-2"],
        ["mast-2"],
        [],
    ]
    assert node_status(script, NOON_S).tolist() == [0, NodeStatus.FAILURE, 0, 0]
    assert node_status(script, NOON_S + 60).tolist() == [0, 0, 0, 0]


def test_a_power_cut_bites_when_the_batteries_are_empty():
    script = prepare([Incident("power-cut", "12:00:30", 600, site="mast", battery_min=5)], CITY)
    begin_s, mast = NOON_S + 30, ["mast-1", "mast-2", "mast-3"]
    assert [off_at(script, begin_s + t) for t in (0, 299, 300, 599, 600)] == [[], [], mast, mast, []]
    assert node_status(script, begin_s).tolist() == [NodeStatus.BATTERY] * 3 + [NodeStatus.OK]
    assert node_status(script, begin_s + 300).tolist() == [NodeStatus.NO_POWER] * 3 + [NodeStatus.OK]
    phases = {t: [entry.phase for entry in entries(script, begin_s + t)] for t in range(-1, 602)}
    assert {t: found for t, found in phases.items() if found} == {0: ["start"], 300: ["battery-empty"], 600: ["end"]}


def test_batteries_that_outlast_the_cut_or_are_missing_run_empty_silently():
    long_lasting = prepare([Incident("power-cut", "12:00", 60, site="mast", battery_min=1)], CITY)
    missing = prepare([Incident("power-cut", "12:00", 60, site="mast")], CITY)
    assert not any(off_at(long_lasting, NOON_S + t) for t in range(61))
    assert len(off_at(missing, NOON_S)) == 3
    for script in (long_lasting, missing):
        found = [entry.phase for t in range(-1, 62) for entry in entries(script, NOON_S + t)]
        assert found == ["start", "end"]


def test_a_circle_cuts_off_the_stations_inside():
    near = Incident("power-cut", "12:00", 60, x_m=100.0, y_m=150.0, radius_m=10.0)
    wide = dataclasses.replace(near, radius_m=90.0)
    assert off_at(prepare([near], CITY), NOON_S) == ["mast-1", "mast-2", "mast-3"]
    assert off_at(prepare([wide], CITY), NOON_S) == list(CITY.cells.name)


def test_degrees_and_metres_mean_the_same_circle():
    from pyproj import Transformer

    frame = CITY.frame
    to_degrees = Transformer.from_crs(frame.epsg, 4326, always_xy=True)
    longitude_deg, latitude_deg = to_degrees.transform(frame.origin_easting_m + 70, frame.origin_northing_m + 80)
    metres = Incident("demand-surge", "12:00", 60, x_m=70.0, y_m=80.0, radius_m=30.0, magnitude=2.0)
    degrees = dataclasses.replace(metres, x_m=None, y_m=None, longitude_deg=longitude_deg, latitude_deg=latitude_deg)
    one, other = (prepare([incident], CITY).plans[0] for incident in (metres, degrees))
    assert (other.x_m, other.y_m) == pytest.approx((one.x_m, one.y_m), abs=1e-3)


def test_an_operators_wishes_hold_again_afterwards_and_are_never_written():
    script = prepare([Incident("cell-failure", "12:00", 60, site="mast")], CITY)
    wished = make_settings()
    wished.status[:] = [Status.SLEEP, Status.ON, Status.OFF, Status.ON]
    during = settings_at(script, wished, NOON_S)
    assert during.status.tolist() == [Status.OFF] * 3 + [Status.ON]
    assert wished.status.tolist() == [Status.SLEEP, Status.ON, Status.OFF, Status.ON]
    assert settings_at(script, wished, NOON_S + 60) is wished


def test_a_repaired_cell_starts_up_before_it_serves():
    script = prepare([Incident("cell-failure", "12:00", 20, cell="lobby-1")], CITY)
    model = EnergyModel.build(CITY.cells, len(CITY.sites), EnergyParameters(off_wake_s=5.0))
    power, wished, seen = energy.start(4), make_settings(), []
    for t in range(-2, 40):
        wanted = settings_at(script, wished, NOON_S + t).status
        power, serving, _ = energy.advance(model, power, wanted)
        seen.append(serving.tolist())
    lobby = [status[3] for status in seen]
    assert lobby == [Status.ON] * 2 + [Status.OFF] * 20 + [Status.SLEEP] * 5 + [Status.ON] * 15
    assert all(status[:3] == [Status.ON] * 3 for status in seen)


def test_the_worst_of_several_incidents_shows():
    script = prepare(
        [
            Incident("power-cut", "12:00", 100, site="mast", battery_min=0.5),
            Incident("cell-failure", "12:00:10", 50, cell="mast-1"),
        ],
        CITY,
    )
    seen = [int(node_status(script, NOON_S + t)[0]) for t in (0, 10, 30, 99, 100)]
    assert seen == [NodeStatus.BATTERY, NodeStatus.FAILURE, NodeStatus.NO_POWER, NodeStatus.NO_POWER, NodeStatus.OK]
    assert off_at(script, NOON_S + 10) == ["mast-1"]
    found = [(e.time_s - NOON_S, e.phase, e.kind, e.target) for t in range(101) for e in entries(script, NOON_S + t)]
    assert found == [
        (0, "start", "power-cut", "mast"),
        (10, "start", "cell-failure", "mast-1"),
        (30, "battery-empty", "power-cut", "mast"),
        (60, "end", "cell-failure", "mast-1"),
        (100, "end", "power-cut", "mast"),
    ]


def test_another_day():
    script = prepare([Incident("cell-failure", "00:10", 60, day=1, cell="mast-1")], CITY)
    assert off_at(script, 600) == []
    assert off_at(script, 86_400 + 600) == ["mast-1"]


def test_a_surge_multiplies_bits_inside_and_overlapping_surges_multiply():
    surges = [
        Incident("demand-surge", "12:00", 60, x_m=50.0, y_m=50.0, radius_m=10.0, magnitude=3.0),
        Incident("demand-surge", "12:00", 30, area=0, magnitude=2.0),
    ]
    script = prepare(surges, CITY)
    users = make_users([50, 50, 61, 50], [50, 59, 50, 50], [-1, 0, 0, -1], [0, 0, 0, Mode.ABSENT])
    asked = make_demand([2, 2, 3, -1], [100, 10, 10, 0])
    during, later, after = (demand_at(script, asked, users, NOON_S + t, Streams(0)) for t in (0, 30, 60))
    assert during.bits.tolist() == [300, 60, 20, 0]
    assert later.bits.tolist() == [300, 30, 10, 0]
    assert after is asked
    assert during.service.tolist() == asked.service.tolist()
    assert asked.bits.tolist() == [100, 10, 10, 0]


def crowd(n: int) -> Users:
    return make_users(np.full(n, 50.0), np.full(n, 50.0))


def idle(n: int) -> Demand:
    return make_demand(np.full(n, -1), np.zeros(n))


def test_a_special_event_keeps_its_share_of_idle_people_busy():
    n, seconds = 4000, 180
    event = Incident("special-event", "12:00", seconds, x_m=50.0, y_m=50.0, radius_m=20.0, share=0.3)
    script = prepare([event], CITY)
    busy = np.array(
        [demand_at(script, idle(n), crowd(n), NOON_S + t, Streams(3)).service >= 0 for t in range(0, seconds, 5)]
    )
    assert busy.mean(axis=1) == pytest.approx(0.3, abs=6 * np.sqrt(0.3 * 0.7 / n))
    changes = (busy[1:] != busy[:-1]).mean(axis=1)  # of state, from one look to the next, 5 s later
    expected = 2 * 0.3 * 0.7 * 5 / EVENT_SESSION_S
    assert changes == pytest.approx(expected, abs=6 * np.sqrt(expected / n))


def test_services_of_an_event_come_in_the_mix_of_the_table():
    n = 20_000
    event = Incident("special-event", "12:00", 60, x_m=50.0, y_m=50.0, radius_m=20.0, share=1.0, magnitude=2.0)
    found = demand_at(prepare([event], CITY, demand_scale=3.0), idle(n), crowd(n), NOON_S, Streams(1))
    counts = np.bincount(found.service, minlength=len(SERVICES)) / n
    shares = np.array([service.share for service in SERVICES])
    assert counts == pytest.approx(shares / shares.sum(), abs=6 * 0.5 / np.sqrt(n))
    assert found.bits == pytest.approx([6 * SERVICES[s].rate_bps for s in found.service])


def test_an_event_touches_only_idle_people_who_are_there():
    event = Incident("special-event", "12:00", 60, area=0, share=1.0, service="video-call")
    script = prepare([event], CITY)
    users = make_users([1, 2, 3], [1, 2, 3], area=[0, 0, -1])
    found = demand_at(script, make_demand([-1, 4, -1], [0, 7, 0]), users, NOON_S, Streams(0))
    assert found.service.tolist() == [SERVICE.index("video-call"), 4, -1]
    assert found.bits.tolist() == [SERVICES[SERVICE.index("video-call")].rate_bps, 7, 0]


def test_a_surge_reaches_the_sessions_of_an_event_whatever_their_order():
    surge = Incident("demand-surge", "12:00", 60, area=0, magnitude=2.0)
    event = Incident("special-event", "12:00", 60, area=0, share=1.0, service="web")
    users = make_users([1], [1], area=[0])
    for order in ([surge, event], [event, surge]):
        found = demand_at(prepare(order, CITY), idle(1), users, NOON_S, Streams(0))
        assert found.bits.tolist() == [2 * SERVICES[SERVICE.index("web")].rate_bps]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 600), st.integers(0, 300), st.integers(0, 300))
def test_who_takes_part_depends_on_seed_user_and_time_only(seed, offset_s, n, more):
    """No memory, and no effect of how many others there are or of which incidents are scripted besides."""
    event = Incident("special-event", "12:00", 601, x_m=50.0, y_m=50.0, radius_m=20.0)
    other = Incident("cell-failure", "12:00", 60, cell="mast-1")
    alone, beside = prepare([event], CITY), prepare([other, event], CITY)
    few = demand_at(alone, idle(n), crowd(n), NOON_S + offset_s, Streams(seed))
    many = demand_at(beside, idle(n + more), crowd(n + more), NOON_S + offset_s, Streams(seed))
    assert few.service.tolist() == many.service[:n].tolist()
    assert few.bits.tolist() == many.bits[:n].tolist()
    assert few.service.dtype == np.int8
    assert few.bits.dtype == np.float32


def test_two_events_and_two_seeds_draw_differently():
    n = 1000
    events = [
        Incident("special-event", "12:00", 60, x_m=50.0, y_m=50.0, radius_m=radius_m) for radius_m in (20.0, 21.0)
    ]
    looks = [
        demand_at(prepare([event], CITY), idle(n), crowd(n), NOON_S, Streams(seed)).service >= 0
        for event, seed in ((events[0], 0), (events[0], 1), (events[1], 0))
    ]
    for other in looks[1:]:
        assert 0.4 < (looks[0] == other).mean() < 0.6  # halves that know nothing of each other


def test_nothing_scripted_changes_nothing():
    script = prepare([], CITY)
    wished, asked = make_settings(), idle(3)
    assert settings_at(script, wished, NOON_S) is wished
    assert demand_at(script, asked, crowd(3), NOON_S, Streams(0)) is asked
    assert entries(script, NOON_S) == []
    assert node_status(script, NOON_S).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cell": "mast-4"}, "cell is 'mast-4', allowed is the name of one of 4 cells; did you mean 'mast-"),
        ({"site": "mst"}, "site is 'mst', allowed is the name of one of 2 sites; did you mean 'mast'?"),
        ({"kind": "demand-surge", "magnitude": 2.0, "area": 1}, "area is 1, allowed is a whole number from 0 to 0"),
        (
            {"kind": "power-cut", "x_m": 0.0, "y_m": 0.0, "radius_m": 50.0},
            "radius_m is 50, allowed is at least 181, where station 'mast' is",
        ),
        (
            {"kind": "demand-surge", "magnitude": 2.0, "x_m": 250.0, "y_m": 0.0, "radius_m": 49.0},
            "the centre is x_m 250, y_m 0, allowed is on or within radius_m of the map of 200 x 300 m",
        ),
        (
            {"kind": "demand-surge", "magnitude": 2.0, "latitude_deg": 0.0, "longitude_deg": 0.0, "radius_m": 49.0},
            "the centre is latitude_deg 0, longitude_deg 0, allowed",
        ),
        ({"kind": "earthquake"}, "kind is 'earthquake', allowed is cell-failure"),
    ],
)
def test_one_sentence_says_what_does_not_fit_the_city(keys, words):
    first = Incident("cell-failure", "12:00", 60, cell="mast-1")
    second = Incident(**({"kind": "cell-failure", "at": "12:00", "duration_s": 60} | keys))
    with pytest.raises(InputError, match=words) as caught:
        prepare([first, second], CITY)
    assert str(caught.value).startswith("[[incidents]] 2: ")
    assert "\n" not in str(caught.value)


def test_a_city_without_areas_has_none_to_choose():
    areas = Areas(**{f.name: getattr(CITY.areas, f.name)[:0] for f in dataclasses.fields(Areas)})
    city = dataclasses.replace(CITY, areas=areas)
    with pytest.raises(InputError, match="none is mapped"):
        prepare([Incident("special-event", "12:00", 60, area=0)], city)


def test_the_example_in_the_documentation_is_a_scenario():
    text = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    event, cut, failure = scenarios.parse(example).incidents
    assert (event.kind, cut.dark_s, failure.begin_s) == ("special-event", 73_500, 73_830)


def test_the_absent_take_no_part():
    event = Incident("special-event", "12:00", 60, x_m=50.0, y_m=50.0, radius_m=20.0, share=1.0)
    users = make_users([50, 50], [50, 50], mode=[Mode.ABSENT, Mode.WALK])
    found = demand_at(prepare([event], CITY), idle(2), users, NOON_S, Streams(0))
    assert (found.service >= 0).tolist() == [False, True]
    assert found.bits[0] == 0
