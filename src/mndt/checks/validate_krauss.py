"""`mndt validate krauss`: vehicles that do not dawdle beside trajectories of SUMO, metre by metre."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mndt.checks.output import Figure, Result
from mndt.checks.reference_data import reference_file

Array = np.ndarray

FILE = "krauss_reference.npz"


def run(*, data: Path | None = None) -> Result:
    """Drive every case of the reference file anew.

    Args:
        data: folder with the reference file; None = `MNDT_DATA`.

    Returns:
        The largest error of a position, over all vehicles and steps of all cases, and of each case.
    """
    with np.load(reference_file(FILE, data), allow_pickle=False) as table:
        cases = {str(name): _case(dict(table), str(name)) for name in table["cases"]}
    worst = {f"position_error_m_{name}": position_error_m(case) for name, case in cases.items()}
    figures: dict[str, Figure] = {"max_position_error_m": max(worst.values()), **worst}
    return Result("krauss", figures, note="peer: trajectories recorded with SUMO 1.28")


def _case(table: dict[str, Array], name: str) -> dict[str, Array]:
    return {key.removeprefix(f"{name}__"): value for key, value in table.items() if key.startswith(f"{name}__")}


def position_error_m(case: dict[str, Array]) -> float:
    """Largest difference of the way driven since the start, in m.

    Args:
        case: arrays of the reference file: lanes with lengths, limits and successors, lights second by second,
            and where everybody was.
    """
    from mndt.users.driving.vehicles import advance

    lanes, memory = _start(case)
    way_m = np.zeros(len(memory.vehicle))
    worst_m, base_m = 0.0, case["odometer_m"][0]
    for k in range(1, len(case["time_s"])):
        memory, _ = advance(lanes, memory, float(k), np.uint32(k), aside_s=np.inf)
        way_m += memory.speed_mps
        worst_m = max(worst_m, float(np.abs(way_m - (case["odometer_m"][k] - base_m)).max()))
    return worst_m


def _start(case: dict[str, Array]) -> tuple[Any, Any]:
    from mndt.users.driving.lane_map import LaneMap
    from mndt.users.driving.vehicles import KINDS, VehicleMemory, request
    from mndt.users.routes import Routes

    lanes = LaneMap.from_sumo(_net(case))
    n, row = len(case["vehicle_vmax_mps"]), {str(lane): k for k, lane in enumerate(lanes.lane_name)}
    kinds = np.repeat(KINDS[:1], n, axis=0)
    kinds[:, 5], kinds[:, 7] = 0.0, case["vehicle_vmax_mps"]
    first = case["lane"][0].astype(int)
    routes = [_route(case, lane, len(case["time_s"]), lanes) for lane in first]
    start = np.cumsum([0] + [len(route) for route in routes]).astype(np.int32)
    rows = np.arange(n, dtype=np.int32)
    memory = VehicleMemory.empty(lanes, n, kinds)
    memory = request(
        memory, rows, Routes(start, np.concatenate(routes).astype(np.int32), np.ones(n)), rows.astype(np.int8)
    )
    vehicle = memory.vehicle
    vehicle["lane"] = [row[str(case["lane_ids"][lane])] for lane in first]
    vehicle["position_m"], vehicle["speed_mps"] = case["lane_pos_m"][0], case["speed_mps"][0]
    vehicle["speed_factor"] = 1.0
    active = rows[np.lexsort((-vehicle["position_m"], vehicle["lane"]))]
    return lanes, replace(memory, active=active, queue=np.zeros(0, np.int32))


def _route(case: dict[str, Array], lane: int, steps: int, lanes: Any) -> list[int]:
    """Edges from a lane on, as far as anybody can come."""
    row, edges, left_m = {name: k for k, name in enumerate(lanes.edge_name)}, [], 14.0 * steps + 1000.0
    while lane >= 0 and left_m > 0:
        name = str(case["lane_ids"][lane])
        if not name.startswith(":"):
            edges.append(row[name.rpartition("_")[0]])
        left_m -= float(case["lane_length_m"][lane])
        lane = int(case["lane_next"][lane])
    return edges


def _net(case: dict[str, Array]) -> Any:
    """The chains of lanes as a network: before every lane outside a junction lies the junction that leads onto it."""
    from mndt.formats.sumo_net import SumoNet, SumoSignal

    names, nexts = [str(name) for name in case["lane_ids"]], case["lane_next"].astype(int).tolist()
    inside = [name.startswith(":") for name in names]
    goal = [nexts[after] if after >= 0 and inside[after] else after for after in nexts]
    ends = [f"to{goal[k]}" if goal[k] >= 0 else f"end{k}" for k in range(len(names))]
    edges = tuple(_edge(case, k, ends[k] if inside[k] else f"to{k}", ends[k]) for k in range(len(names)))
    lights = {int(lane): k for k, lane in enumerate(case.get("signal_lane", ()))}
    links = tuple(
        _connection(names, k, nexts[k], goal[k], lights.get(k, -1)) for k in range(len(names)) if goal[k] >= 0
    )
    signals = {}
    if lights:
        phases = tuple((1.0, str(state)) for state in case["signal_state"])
        signals["light"] = SumoSignal("light", "0", "static", 0.0, phases)
    joints = tuple(
        _junction(name, edges) for name in dict.fromkeys(e for edge in edges for e in (edge.start, edge.end))
    )
    return SumoNet(edges, links, joints, signals)


def _edge(case: dict[str, Array], k: int, start: str, end: str) -> Any:
    from mndt.formats.sumo_net import EVERYONE, LANE_WIDTH_M, SumoEdge, SumoLane

    name, length_m = str(case["lane_ids"][k]), float(case["lane_length_m"][k])
    shape = ((0.0, 10.0 * k), (length_m, 10.0 * k))
    lane = SumoLane(name, float(case["lane_speed_limit_mps"][k]), length_m, LANE_WIDTH_M, EVERYONE, shape)
    return SumoEdge(name.rpartition("_")[0], name.startswith(":"), start, end, -1, (lane,))


def _connection(names: list[str], k: int, after: int, goal: int, signal: int) -> Any:
    from mndt.formats.sumo_net import VISIBILITY_M, SumoConnection

    via = names[after] if names[after].startswith(":") else ""
    light, state = ("light", "O") if signal >= 0 else ("", "M")
    start, end = (names[k].rpartition("_")[0], 0), (names[goal].rpartition("_")[0], 0)
    return SumoConnection(start, end, via, light, signal, "s", state, True, VISIBILITY_M)


def _junction(name: str, edges: tuple[Any, ...]) -> Any:
    """Nobody yields: no ways meet."""
    from mndt.formats.sumo_net import SumoJunction, SumoRequest

    coming = tuple(edge.lanes[0].name for edge in edges if edge.end == name and not edge.internal)
    inside = tuple(edge.lanes[0].name for edge in edges if edge.end == name and edge.internal)
    if name.startswith("end") or not coming:
        return SumoJunction(name, "dead_end", 0.0, 0.0, coming, (), ())
    return SumoJunction(name, "priority", 0.0, 0.0, coming, inside, tuple(SumoRequest(0, 0, False) for _ in coming))
