"""`mndt bench vehicles`: how fast vehicles drive and how like SUMO's, on rings, a grid of lights and in Bologna.

rings: a hundred closed rings of one lane; nobody dawdles, so that both engines must give the same trajectories;
grid: 22 x 22 crossings with lights of fixed time on 2 x 2 km, one lane each way; vehicles on random walks, the same
in both engines with the same speed factors; mean speeds of cycles 2 to 5;
Bologna: one morning hour with its routes, buses and lights.

Results of SUMO are kept in the user's cache folder by version and setting; where clocks are compared SUMO runs anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checks import _vehicle_cases as cases
from mndt.checks.output import Figure, Result
from mndt.parallel import set_threads

if TYPE_CHECKING:
    from mndt.users.driving.lane_map import LaneMap

LOADS: Final = (500, 1000, 2500, 5000)
CYCLE_S: Final = 90
CYCLES: Final = 5
MISSING: Final = "SUMO is not installed: pip install 'mndt[peers]' compares with it"


def run(*, data: Path | None = None, seeds: int = 5, quick: bool = False) -> Result:
    """Drive all cases.

    Args:
        data: folder with Bologna's files; None = `MNDT_DATA`; without either the figures of Bologna are missing.
        seeds: sets of routes a load, and runs of Bologna.
        quick: one seed, two loads, few rings, no Bologna.
    """
    from mndt.checks import peer_sumo

    set_threads(1)
    if not peer_sumo.installed():
        return Result("vehicles", {"routes_per_s": _routes_per_s(quick)}, note=MISSING)
    loads, seeds = ((500, 1000), 1) if quick else (LOADS, seeds)
    with TemporaryDirectory() as name:
        figures: dict[str, Figure] = rings(Path(name), n_rings=20 if quick else 100, steps=100 if quick else 400)
        figures |= grid(Path(name), loads, seeds)
    if not quick and (data is not None or os.environ.get("MNDT_DATA")):
        from mndt.checks._bologna import compare

        figures |= compare(data, seeds)
    figures["routes_per_s"] = _routes_per_s(quick)
    return Result("vehicles", figures, peers=[_peer(figures)], seeds=list(range(seeds)))


def _peer(figures: dict[str, Figure]) -> dict[str, object]:
    from mndt.checks import peer_sumo

    own = {key: figures.pop(key) for key in list(figures) if key.startswith("sumo_")}
    return {"name": "SUMO", "version": peer_sumo.version(), "figures": own}


def _routes_per_s(quick: bool) -> float:
    from mndt.checks._routing import routes_per_s
    from mndt.scenario import load, open_city
    from mndt.users.routes import RouteGraph

    scenario = load("table1")
    city = open_city(scenario.city, scenario.name)
    return routes_per_s(RouteGraph.from_ways(city.roads), pairs=1000 if quick else 10_000)


def lanes_of(net: Path) -> LaneMap:
    """A network of SUMO as our engine takes it."""
    from mndt.formats.sumo_net import read_net
    from mndt.users.driving.lane_map import LaneMap

    return LaneMap.from_sumo(read_net(net))


def rings(folder: Path, n_rings: int = 100, per_ring: int = 50, steps: int = 400) -> dict[str, Figure]:
    """Speed where trajectories are equal: ratio of processor times, and the largest difference of ways driven."""
    from mndt.checks import peer_sumo

    net = peer_sumo.ring_net(folder, n_rings)
    lanes, fleet = lanes_of(net), cases.rings(n_rings, per_ring)
    theirs = peer_sumo.drive(net, fleet, steps, 0)
    ours = cases.drive(lanes, fleet, steps, 0)
    apart_m = np.abs(ours.memory.odometer_m - np.array(theirs["odometer_m"]))
    return {
        "ratio_rings_to_libsumo": theirs["seconds"] / ours.seconds,
        "rings_position_error_m": float(apart_m.max()),
        "ms_rings": 1e3 * ours.seconds / steps,
        "sumo_ms_rings": 1e3 * theirs["seconds"] / steps,
    }


def grid(folder: Path, loads: tuple[int, ...] = LOADS, seeds: int = 5) -> dict[str, Figure]:
    """Mean speeds beside SUMO's, safety, and the ratio of processor times at the greatest load."""
    from mndt.checks import peer_sumo
    from mndt.checks._vehicle_watch import Watch

    net = peer_sumo.grid_net(folder)
    lanes, steps = lanes_of(net), CYCLE_S * CYCLES
    figures: dict[str, Figure] = {}
    overlaps = red_crossings = 0
    for n in loads:
        ours, theirs = [], []
        for seed in range(seeds):
            fleet, watch = cases.walkers(lanes, n, seed), Watch(lanes)
            drive = cases.drive(lanes, fleet, steps, seed, watch)
            peer = _sumo_on_grid(net, fleet, n, seed, steps)
            ours.append(peer_sumo.mean_speeds(drive.speed_mps.tolist(), CYCLE_S)[1:].mean())
            theirs.append(peer_sumo.mean_speeds(peer["speed_mps"], CYCLE_S)[1:].mean())
            overlaps, red_crossings = overlaps + watch.overlaps, red_crossings + watch.red_crossings
        figures |= {
            f"speed_gap_{n}": float(np.mean(ours) / np.mean(theirs) - 1.0),
            f"speed_mps_{n}": float(np.mean(ours)),
            f"sumo_speed_mps_{n}": float(np.mean(theirs)),
        }
    fleet = cases.walkers(lanes, loads[-1], 0)
    drive, peer = cases.drive(lanes, fleet, CYCLE_S, 0), peer_sumo.drive(net, fleet, CYCLE_S, 0)
    return figures | {
        "overlaps": overlaps,
        "red_crossings": red_crossings,
        "ratio_grid_to_libsumo": peer["seconds"] / drive.seconds,
        "ms_grid": 1e3 * drive.seconds / CYCLE_S,
        "sumo_ms_grid": 1e3 * peer["seconds"] / CYCLE_S,
    }


def _sumo_on_grid(net: Path, fleet: cases.Fleet, n: int, seed: int, steps: int) -> dict[str, Any]:
    """SUMO's mean speeds, from the cache where they are."""
    from mndt.checks import peer_sumo

    setting = (n, seed, steps, cases.EDGES, cases.SPACING_M, fleet.sigma)
    return peer_sumo.kept("grid", setting, lambda: peer_sumo.drive(net, fleet, steps, seed))
