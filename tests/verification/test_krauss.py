"""Krauss vehicles against recorded trajectories, and against closed forms."""

import json
import os
from dataclasses import replace
from math import floor
from pathlib import Path

import numpy as np
import pytest

from mndt.city.model import Ways
from mndt.users.lanes import Lanes
from mndt.users.routes import Routes
from mndt.users.vehicles import KINDS, VehicleMemory, advance, place, request

CAR = KINDS[0]
LENGTH_M, MIN_GAP_M, ACCEL, DECEL, TAU_S = CAR[0], CAR[1], CAR[2], CAR[3], CAR[6]
MARGIN_M = 0.001


def lanes_of(
    xy: list[tuple[float, float]], edges: list[tuple[int, int]], length_m: np.ndarray, limit_mps: np.ndarray
) -> Lanes:
    """Single-lane edges, straight on the plan whatever their length, without bicycle lanes and lights."""
    x, y = np.array(xy, float).T
    tail, head = np.array(edges).T
    shape = np.column_stack([tail, head]).ravel()
    ways = Ways(
        node_x_m=x,
        node_y_m=y,
        node_signal=np.zeros(len(x), bool),
        edge_from=tail,
        edge_to=head,
        edge_length_m=np.asarray(length_m, float),
        edge_speed_mps=np.asarray(limit_mps, float),
        edge_lanes=np.ones(len(tail), int),
        edge_rank=np.zeros(len(tail), int),
        shape_start=np.arange(0, 2 * len(tail) + 1, 2),
        shape_x_m=x[shape],
        shape_y_m=y[shape],
    )
    return Lanes.from_ways(ways)


def put(
    lanes: Lanes, routes: list[list[int]], at_m: np.ndarray, speed_mps: np.ndarray, kinds: np.ndarray, kind: np.ndarray
) -> VehicleMemory:
    """Vehicles at exact places of the first lane of their routes, without any check."""
    n = len(routes)
    ends = np.cumsum([len(r) for r in routes]).astype(np.int32)
    lane = lanes.edge_lane[[r[0] for r in routes]]
    start = (ends - [len(r) for r in routes]).astype(np.int32)
    memory = VehicleMemory.empty(lanes, n, kinds)
    for name, values in {
        "lane": lane, "position_m": at_m, "speed_mps": speed_mps, "kind": kind, "speed_factor": 1.0,
        "route_start": start, "cursor": start, "route_end": ends,
    }.items():  # fmt: skip
        memory.vehicle[name] = values
    active = np.lexsort((-np.asarray(at_m), lane)).astype(np.int32)
    return replace(memory, active=active, route_edge=np.concatenate(routes).astype(np.int32))


@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="needs the reference data (MNDT_DATA)")
@pytest.mark.parametrize("case", ["speed_drop", "speed_drop_single", "ring20", "ring60", "signal", "signal_internal"])
def test_trajectories_equal_the_recorded_ones(case: str) -> None:
    data = np.load(Path(os.environ["MNDT_DATA"]) / "krauss_reference.npz", allow_pickle=False)
    get = {key.split("__")[1]: data[key] for key in data.files if key.startswith(case + "__")}
    length_m, following = get["lane_length_m"], get["lane_next"]
    n_lanes, n_steps = len(length_m), len(get["time_s"]) - 1
    lanes = _recorded_lanes(get, following)
    routes = []
    for lane in get["lane"][0]:
        route = [int(lane)]
        while following[route[-1]] >= 0 and len(route) < 60:
            route.append(int(following[route[-1]]))
        routes.append(route)
    top_mps, kind = np.unique(get["vehicle_vmax_mps"], return_inverse=True)
    parameters = json.loads(str(data["params_json"]))
    assert [CAR[0], CAR[1], CAR[2], CAR[3], CAR[4], CAR[6]] == [
        parameters[k] for k in ("length_m", "min_gap_m", "accel_mps2", "decel_mps2", "emergency_decel_mps2", "tau_s")
    ]
    kinds = np.array([[*CAR[:5], 0.0, TAU_S, top, 0.0] for top in top_mps])
    memory = put(lanes, routes, get["lane_pos_m"][0], get["speed_mps"][0], kinds, kind)
    assert n_lanes == lanes.n_lanes - len(lanes.edge_from)  # one car lane an edge, beside the bicycles'
    for k in range(1, n_steps + 1):
        memory, _ = advance(lanes, memory, k - 1, np.uint32(k))
        np.testing.assert_allclose(memory.odometer_m, get["odometer_m"][k], atol=1e-6, rtol=0, err_msg=f"step {k}")
        np.testing.assert_allclose(memory.speed_mps, get["speed_mps"][k], atol=1e-6, rtol=0, err_msg=f"step {k}")


def _recorded_lanes(get: dict[str, np.ndarray], following: np.ndarray) -> Lanes:
    """Edges joined as recorded; the crossing's two streams come from the west and from the south."""
    n = len(following)
    leads = np.array([int(f) for f in following])
    ids = [str(i) for i in get["lane_ids"]]
    if "signal_state" in get:
        # nodes: 0 the crossing, 1 west, 2 south, 3 east, 4 north; 5 and 6 the far ends of lanes inside the crossing
        inner = any(i.startswith(":") for i in ids)
        place_of = {
            "win_0": (1, 0),
            "sin_0": (2, 0),
            "eout_0": (5 if inner else 0, 3),
            "nout_0": (6 if inner else 0, 4),
        }
        from_crossing = {":c_0_0": (0, 6), ":c_1_0": (0, 5)}
        xy = [(0, 0), (-100, 0), (0, -100), (100, 0), (0, 100), (5, 0), (0, 5)]
        edges = [{**place_of, **from_crossing}[i] for i in ids]
        lanes = lanes_of(
            [(float(x), float(y)) for x, y in xy], edges, get["lane_length_m"], get["lane_speed_limit_mps"]
        )
        return _with_programme(lanes, get)
    node = np.arange(n)
    edges = [(int(k), int(leads[k]) if leads[k] >= 0 else n) for k in node]
    xy = [(100.0 * np.cos(k), 100.0 * np.sin(k)) for k in range(n + 1)]
    return lanes_of(xy, edges, get["lane_length_m"], get["lane_speed_limit_mps"])


def _with_programme(lanes: Lanes, get: dict[str, np.ndarray]) -> Lanes:
    starts = np.concatenate(([0], np.cumsum(get["phase_duration_s"])))
    cycle, begin, green, yellow = (np.zeros(len(lanes.edge_from)) for _ in range(4))
    for link, lane in enumerate(get["signal_lane"]):
        colours = [str(state)[link] for state in get["phase_state"]]
        cycle[lane] = starts[-1]
        begin[lane] = starts[colours.index("G")]
        green[lane], yellow[lane] = (get["phase_duration_s"][colours.index(c)] for c in "Gy")
    return replace(lanes, signal_cycle_s=cycle, signal_from_s=begin, signal_green_s=green, signal_yellow_s=yellow)


@pytest.mark.parametrize("n", [10, 60, 100, 130])
def test_ring_settles_at_the_equilibrium_speed(n: int) -> None:
    ring_m = 1000.0
    lanes = lanes_of(
        [(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 1), (1, 2), (2, 3), (3, 0)], np.full(4, ring_m / 4), np.full(4, 13.89)
    )
    at = np.arange(n) * ring_m / n
    routes = [[int(x // 250 + k) % 4 for k in range(60)] for x in at]
    kinds = np.array([[*CAR[:5], 0.0, *CAR[6:]]])
    memory = put(lanes, routes, at % 250, np.full(n, 1.0), kinds, np.zeros(n))
    for k in range(600):
        memory, _ = advance(lanes, memory, k, np.uint32(k))
    expected = min(13.89, (ring_m / n - LENGTH_M - MIN_GAP_M - MARGIN_M) / TAU_S)
    np.testing.assert_allclose(memory.speed_mps, expected, atol=1e-9)


def test_a_platoon_follows_at_the_closed_form_gap() -> None:
    """Behind a leader of constant speed v the gap that is just safe is v tau + minGap + margin, bumper to bumper."""
    lanes = lanes_of([(0, 0), (1, 0)], [(0, 1)], np.array([20_000.0]), np.array([30.0]))
    slow = np.array([[*CAR[:5], 0.0, TAU_S, 10.0, 0.0], [*CAR[:5], 0.0, TAU_S, 30.0, 0.0]])
    at = 500.0 - 30.0 * np.arange(8)
    memory = put(lanes, [[0]] * 8, at, np.zeros(8), slow, np.r_[0, np.ones(7)])
    for k in range(300):
        memory, _ = advance(lanes, memory, k, np.uint32(k))
    np.testing.assert_allclose(memory.speed_mps, 10.0, atol=1e-9)
    gaps = -np.diff(memory.position_m) - LENGTH_M - MIN_GAP_M
    np.testing.assert_allclose(gaps, 10.0 * TAU_S + MARGIN_M, atol=1e-6)


def test_saturation_flow_of_a_green_light() -> None:
    """A queue leaves at 1 / (tau + (length + minGap) / v) vehicles a second once it has reached the speed v."""
    limit = 13.89
    lanes = lanes_of([(0, 0), (1, 0), (2, 0)], [(0, 1), (1, 2)], np.array([1500.0, 30_000.0]), np.full(2, limit))
    kinds = np.array([[*CAR[:5], 0.0, *CAR[6:]]])
    n = 120
    memory = put(lanes, [[0, 1]] * n, 1499.0 - 7.6 * np.arange(n), np.zeros(n), kinds, np.zeros(n))
    crossed = np.full(n, -1)
    for k in range(400):
        memory, _ = advance(lanes, memory, k, np.uint32(k))
        crossed[(crossed < 0) & (memory.lane == lanes.edge_lane[1])] = k
    headway = (crossed[100] - crossed[20]) / 80
    assert 1 / headway == pytest.approx(1 / (TAU_S + (LENGTH_M + MIN_GAP_M) / limit), rel=0.05)


def test_braking_for_a_red_light_uses_whole_steps_of_comfortable_deceleration() -> None:
    """A driver comes from the limit to rest one metre before the line and never brakes harder than b."""
    lanes = lanes_of([(0, 0), (1, 0), (2, 0)], [(0, 1), (1, 2)], np.array([500.0, 500.0]), np.full(2, 13.89))
    red = np.array([1.0, 0.0])
    lanes = replace(lanes, signal_cycle_s=red, signal_green_s=0 * red, signal_yellow_s=0 * red)
    kinds = np.array([[*CAR[:5], 0.0, *CAR[6:]]])
    memory = put(lanes, [[0, 1]], np.array([300.0]), np.array([13.89]), kinds, np.zeros(1))
    speeds = [13.89]
    for k in range(60):
        memory, _ = advance(lanes, memory, k, np.uint32(k))
        speeds.append(float(memory.speed_mps[0]))
    assert min(np.diff(speeds)) >= -DECEL - 1e-9
    assert memory.position_m[0] == pytest.approx(499.0 - MARGIN_M, abs=1e-6)


def test_a_free_start_gains_the_acceleration_every_second() -> None:
    lanes = lanes_of([(0, 0), (1, 0)], [(0, 1)], np.array([1000.0]), np.array([13.89]))
    kinds = np.array([[*CAR[:5], 0.0, *CAR[6:]]])
    routes = Routes(np.array([0, 1], np.int32), np.zeros(1, np.int32), np.zeros(1))
    memory = request(VehicleMemory.empty(lanes, 1, kinds), np.array([0]), routes, np.zeros(1, np.int8))
    factor = memory.vehicle["speed_factor"][0]
    memory, _ = advance(lanes, memory, 0, np.uint32(0))  # drives off, standing
    assert (memory.position_m[0], memory.speed_mps[0]) == (LENGTH_M, 0.0)
    for k in range(1, 8):
        memory, _ = advance(lanes, memory, k, np.uint32(k))
        assert memory.speed_mps[0] == pytest.approx(min(k * ACCEL, 13.89 * factor))
    full = floor(13.89 * factor / ACCEL)
    assert memory.position_m[0] == pytest.approx(LENGTH_M + ACCEL * full * (full + 1) / 2 + (7 - full) * 13.89 * factor)


def test_placing_on_an_empty_road_is_exact_in_position() -> None:
    lanes = lanes_of([(0, 0), (1, 0), (2, 0)], [(0, 1), (1, 2)], np.array([100.0, 300.0]), np.full(2, 13.89))
    routes = Routes(np.array([0, 2], np.int32), np.array([0, 1], np.int32), np.zeros(1))
    memory = place(lanes, VehicleMemory.empty(lanes, 1), np.array([0]), routes, np.array([0.5]))
    assert memory.lane[0] == lanes.edge_lane[1]
    assert memory.position_m[0] == pytest.approx(100.0)
