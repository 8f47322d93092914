"""The checks of vehicles: recorded trajectories, the eye that counts, SUMO itself where it is there."""

import os
from dataclasses import replace

import numpy as np
import pytest

from mndt.checks import _vehicle_cases as cases
from mndt.checks import bench_vehicles, validate_krauss
from mndt.checks._vehicle_watch import Watch
from mndt.checks.reference_data import reference_file
from mndt.formats.sumo_net import (
    EVERYONE,
    SumoConnection,
    SumoEdge,
    SumoJunction,
    SumoLane,
    SumoNet,
    SumoRequest,
    SumoSignal,
)
from mndt.users.driving.lane_map import LaneMap

has_reference = pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")


@has_reference
def test_nobody_is_a_micrometre_from_where_sumo_had_him():
    figures = validate_krauss.run().figures
    assert figures["max_position_error_m"] < 1e-6
    assert len(figures) == 7


@has_reference
def test_a_false_record_is_noticed():
    with np.load(reference_file(validate_krauss.FILE), allow_pickle=False) as table:
        case = validate_krauss._case(dict(table), "speed_drop_single")
    case["odometer_m"] = case["odometer_m"].copy()
    case["odometer_m"][-1, 0] += 0.25
    assert validate_krauss.position_error_m(case) == pytest.approx(0.25, abs=1e-6)


def _road_with_a_light(letters: str) -> LaneMap:
    """Two edges of 100 m, one after the other; between them a light that shows a letter a second."""
    edges = tuple(
        SumoEdge(name, False, start, end, -1, (SumoLane(f"{name}_0", 13.89, 100.0, 3.2, EVERYONE, shape),))
        for name, start, end, shape in (
            ("in", "a", "b", ((0.0, 0.0), (100.0, 0.0))),
            ("out", "b", "c", ((100.0, 0.0), (200.0, 0.0))),
        )
    )
    link = SumoConnection(("in", 0), ("out", 0), "", "light", 0, "s", "O", True, 4.5)
    junctions = (
        SumoJunction("a", "dead_end", 0.0, 0.0, (), (), ()),
        SumoJunction("b", "traffic_light", 100.0, 0.0, ("in_0",), (), (SumoRequest(0, 0, False),)),
        SumoJunction("c", "dead_end", 200.0, 0.0, ("out_0",), (), ()),
    )
    phases = tuple((1.0, letter) for letter in letters)
    return LaneMap.from_sumo(
        SumoNet(edges, (link,), junctions, {"light": SumoSignal("light", "0", "static", 0.0, phases)})
    )


def _on(lanes: LaneMap, *places: tuple[int, float]):
    """Cars on (lane, metre)."""
    n = len(places)
    fleet = cases.Fleet((("in", "out"),) * n, np.full(n, 10.0), np.ones(n), 0.0)
    memory = cases.on_the_road(lanes, fleet)
    memory.vehicle["lane"], memory.vehicle["position_m"] = np.array(places).T
    return memory


@pytest.mark.parametrize(("ahead_m", "pairs"), [(55.1, 0), (54.9, 1)])
def test_the_eye_sees_who_stands_in_another_one(ahead_m, pairs):
    lanes = _road_with_a_light("GG")
    watch = Watch(lanes)
    watch.look(_on(lanes, (0, ahead_m), (0, 50.0)), 0)
    assert watch.overlaps == pairs


@pytest.mark.parametrize(("behind_m", "pairs"), [(97.9, 0), (98.1, 1)])
def test_the_eye_sees_a_rear_that_still_stands_on_the_lane_before(behind_m, pairs):
    lanes = _road_with_a_light("GG")
    watch = Watch(lanes)
    watch.look(_on(lanes, (0, 99.0), (0, 90.0)), 0)
    watch.look(_on(lanes, (1, 3.0), (0, behind_m)), 1)
    assert watch.overlaps == pairs


@pytest.mark.parametrize(("letters", "crossings"), [("Gr", 1), ("rG", 0), ("Gu", 1), ("Gy", 0)])
def test_the_eye_sees_who_crosses_on_red(letters, crossings):
    lanes = _road_with_a_light(letters)
    watch = Watch(lanes)
    watch.look(_on(lanes, (0, 95.0)), 0)
    watch.look(_on(lanes, (1, 6.0)), 1)
    assert watch.red_crossings == crossings


def test_cars_wait_at_the_light_and_pass_it_unseen_by_the_eye():
    lanes = _road_with_a_light("r" * 20 + "G" * 20)
    fleet = cases.Fleet((("in", "out"),) * 3, np.array([60.0, 40.0, 20.0]), np.ones(3), 0.0)
    watch = Watch(lanes)
    drive = cases.drive(lanes, replace(fleet, sigma=0.5), 19, 0, watch)
    assert np.all(drive.memory.lane == 0)
    assert drive.memory.position_m[0] == pytest.approx(99.0, abs=0.5)
    drive = cases.drive(lanes, fleet, 30, 0, watch)
    assert np.any(drive.memory.lane == 1)
    assert (watch.overlaps, watch.red_crossings) == (0, 0)


@pytest.mark.peer
def test_rings_beside_sumo(tmp_path):
    figures = bench_vehicles.rings(tmp_path, n_rings=2, per_ring=50, steps=200)
    assert figures["rings_position_error_m"] < 1e-6


@pytest.mark.peer
def test_a_grid_of_lights_beside_sumo(tmp_path):
    from mndt.checks import peer_sumo

    net = peer_sumo.grid_net(tmp_path)
    lanes = bench_vehicles.lanes_of(net)
    fleet = replace(cases.walkers(lanes, 300, 1, sigma=0.0), speed_factor=np.ones(300))
    watch = Watch(lanes)
    ours, theirs = cases.drive(lanes, fleet, 180, 0, watch), peer_sumo.drive(net, fleet, 180, 0)
    np.testing.assert_allclose(ours.speed_mps, theirs["speed_mps"], atol=1e-6)
    assert (watch.overlaps, watch.red_crossings) == (0, 0)
