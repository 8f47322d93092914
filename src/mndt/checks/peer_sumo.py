"""SUMO beside our vehicles: networks, runs with libsumo, and results kept so that they are made once.

Needs the extra `peers` (libsumo and the programs of eclipse-sumo); imported only where they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from mndt.checks._vehicle_cases import Fleet
from mndt.files import whole_file
from mndt.radio.cache import cache_directory

Array = np.ndarray

GRID_NODES: Final = 22
GRID_M: Final = 2000.0

_GENTLE: Final = ("--no-step-log", "--no-warnings", "--step-length", "1", "--time-to-teleport", "-1")
"""Nobody is taken off the road, however long he stands."""


def version() -> str:
    """Of the installed libsumo."""
    return metadata.version("libsumo")


def installed() -> bool:
    """Whether libsumo and SUMO's programs are there."""
    try:
        return bool(version()) and _program("netgenerate").is_file()
    except metadata.PackageNotFoundError:
        return False


def _program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def grid_net(folder: Path) -> Path:
    """Streets of one lane each way, 22 x 22 crossings with lights of fixed time, 2 x 2 km."""
    path = folder / "grid.net.xml"
    shape = ["--grid", "--grid.number", str(GRID_NODES), "--grid.length", f"{GRID_M / (GRID_NODES - 1):.3f}"]
    _call("netgenerate", *shape, "--default-junction-type", "traffic_light", "-o", str(path))
    return path


def ring_net(folder: Path, n_rings: int, arcs: int = 8, arc_m: float = 125.0, limit_mps: float = 13.89) -> Path:
    """Rings of one lane and `arcs` edges each, named ``r<ring>_<arc>``, without lanes inside the junctions."""
    nodes, edges = [], []
    radius_m = arc_m / (2.0 * np.sin(np.pi / arcs))
    for ring in range(n_rings):
        for k in range(arcs):
            x, y = (
                np.cos(2 * np.pi * k / arcs) * radius_m + 600.0 * (ring % 10),
                np.sin(2 * np.pi * k / arcs) * radius_m,
            )
            nodes.append(f'<node id="n{ring}_{k}" x="{x:.3f}" y="{y + 600.0 * (ring // 10):.3f}" type="priority"/>')
            ends = f'from="n{ring}_{k}" to="n{ring}_{(k + 1) % arcs}"'
            edges.append(f'<edge id="r{ring}_{k}" {ends} numLanes="1" speed="{limit_mps}" length="{arc_m}"/>')
    for name, lines in (("nodes", nodes), ("edges", edges)):
        (folder / f"{name}.xml").write_text(f"<{name}>{''.join(lines)}</{name}>", encoding="utf-8")
    path, plain = folder / "rings.net.xml", ["--no-internal-links", "--no-turnarounds"]
    parts = ["-n", str(folder / "nodes.xml"), "-e", str(folder / "edges.xml")]
    _call("netconvert", *parts, *plain, "-o", str(path))
    return path


def _call(program: str, *arguments: str) -> None:
    subprocess.run([str(_program(program)), *arguments], check=True, capture_output=True)


def routes_file(fleet: Fleet, folder: Path) -> Path:
    """The vehicles of a fleet, all on the road from the first moment on."""
    path, first = folder / "fleet.rou.xml", f'<vType id="t" sigma="{fleet.sigma:g}" speedDev="0"/>'
    rows = [
        f'<vehicle id="{i}" type="t" depart="0" departPos="{fleet.position_m[i]:.2f}" departSpeed="0"'
        f' speedFactor="{fleet.speed_factor[i]:.6f}"><route edges="{" ".join(route)}"/></vehicle>'
        for i, route in enumerate(fleet.routes)
    ]
    path.write_text(f"<routes>{first}{''.join(rows)}</routes>", encoding="utf-8")
    return path


def drive(net: Path, fleet: Fleet, steps: int, seed: int) -> dict[str, Any]:
    """Let SUMO drive a fleet.

    Returns:
        `speed_mps` of everybody on the road, a mean each step; `n` of them in the last step; `odometer_m` and
        `last_mps` of each vehicle then; `seconds` of processor time in SUMO's steps.
    """
    import libsumo

    with TemporaryDirectory() as name:
        routes = routes_file(fleet, Path(name))
        files = ("-n", str(net), "-r", str(routes))
        libsumo.start(["sumo", *files, *_GENTLE, "--seed", str(seed), "--collision.action", "none"])
        speed_mps, seconds = [], 0.0
        vehicle = libsumo.vehicle
        try:
            libsumo.simulationStep()  # puts everybody on the road
            names = list(vehicle.getIDList())
            start_m = {each: vehicle.getDistance(each) for each in names}
            for _ in range(steps):
                began = time.process_time()
                libsumo.simulationStep()
                seconds += time.process_time() - began
                now = vehicle.getIDList()
                speed_mps.append(float(np.mean([vehicle.getSpeed(each) for each in now])))
            here = set(vehicle.getIDList())
            order = [str(i) for i in range(len(fleet.routes))]
            odometer_m = [vehicle.getDistance(each) - start_m[each] if each in here else -1.0 for each in order]
            last_mps = [vehicle.getSpeed(each) if each in here else -1.0 for each in order]
        finally:
            libsumo.close()
    found = {"speed_mps": speed_mps, "n": len(here), "started": len(names), "seconds": seconds}
    return {**found, "odometer_m": odometer_m, "last_mps": last_mps}


def bologna(folder: Path, seed: int, end_s: int = 3600) -> dict[str, Any]:
    """An hour of SUMO's scenario "joined" as it comes (locked rings dissolve after 300 s): trips, their mean time."""
    extra = [f"joined_{part}.add.xml" for part in ("bus_stops", "vtypes", "tls")]
    with TemporaryDirectory() as name:
        trips = Path(name) / "trips.xml"
        began = _children_s()
        _call(
            "sumo",
            *("-n", str(folder / "joined_buslanes.net.xml.gz")),
            *("-r", f"{folder / 'joined.rou.xml.gz'},{folder / 'joined_busses.rou.xml'}"),
            *("-a", ",".join(str(folder / part) for part in extra)),
            *("--no-step-log", "--no-warnings", "--seed", str(seed), "--end", str(end_s)),
            *("--tripinfo-output", str(trips)),
        )
        rows = ElementTree.parse(trips).getroot().findall("tripinfo")
    duration_s = [float(row.get("duration", "nan")) for row in rows]
    return {"trips": len(rows), "mean_s": float(np.mean(duration_s)), "seconds": _children_s() - began}


def _children_s() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kept(name: str, setting: Sequence[object], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result of SUMO from the user's cache folder; made and kept there the first time.

    Args:
        name: of the measurement.
        setting: everything it depends on but the version of SUMO, which is looked up here.
        make: does the measurement; its result must fit into JSON.
    """
    key = hashlib.sha256(json.dumps([version(), name, *map(str, setting)]).encode()).hexdigest()[:16]
    path = cache_directory().parent / "peers" / f"{name}-{key}.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(json.dumps(made), encoding="utf-8")
    return made


def mean_speeds(speed_mps: Sequence[float], cycle_s: int) -> Float64[Array, "cycles"]:
    """Means over whole cycles.

    >>> mean_speeds([1.0, 3.0, 5.0, 5.0, 9.0], 2).tolist()
    [2.0, 5.0]
    """
    n = len(speed_mps) // cycle_s
    return np.asarray(np.reshape(speed_mps[: n * cycle_s], (n, cycle_s)).mean(axis=1), np.float64)
