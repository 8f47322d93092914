"""`mndt bench step`: how long one second of the twin takes, beside CRRM in the same run.

Three clocks on one synthetic city, everyone moving each second:
radio: gain look-up, fading, interference per block, SINR, Shannon rate;
ran: the whole second of the network, from where the users are to the KPIs;
twin: `engine.step`, users and demand included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mndt.checks.output import Result


def run(
    *, users: int = 13_000, cells: int = 184, threads: int = 1, seconds: float = 4.0, quick: bool = False
) -> Result:
    """Time the three clocks and, where it is installed, CRRM.

    Args:
        users, cells: size of the problem; the city is Table I's, with that many stations.
        threads: threads of the kernels and of the peer's linear algebra.
        seconds: least time each clock runs.
        quick: a tenth of the users and cells, half a second each.

    Returns:
        Figures under the keys of the benchmark table, and the peer's.
    """
    if quick:
        users, cells, seconds = max(users // 10, 1), max(cells // 10, 1), 0.5
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    peer = _crrm(users, cells, seconds)
    clocks = _clocks(users, cells)
    figures = {f"{name}_steps_per_s": _rate(clock, seconds) for name, clock in clocks.items()}
    figures["times_real_time"] = figures["twin_steps_per_s"]
    figures["peak_mb"] = _peak_mb()
    if peer is None:
        note = "CRRM is not installed, so there is no ratio: pip install 'mndt[peers]'"
        return Result("step", figures, seeds=[0], note=note)
    crrm = peer["figures"]["steps_per_s"]
    figures["ratio_radio_to_crrm"] = figures["radio_steps_per_s"] / crrm
    figures["ratio_formula_to_crrm"] = figures["formula_steps_per_s"] / crrm
    note = "CRRM does less in a step: no blocks, fading, buffers or maps (docs/benchmarks.md)"
    return Result("step", figures, peers=[peer], seeds=[0], note=note)


def _rate(clock: Callable[[], None], seconds: float) -> float:
    """Median steps per second after two warm-up steps (the first one compiles)."""
    clock()
    clock()
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 5:
        begin = time.perf_counter()
        clock()
        durations.append(time.perf_counter() - begin)
    return 1.0 / float(np.median(durations))


def _clocks(n_users: int, n_cells: int) -> dict[str, Callable[[], None]]:
    """What is timed, by name. All share one world, in which the radio clocks move users at random."""
    from mndt import engine
    from mndt.city.synthetic import synthetic_city
    from mndt.radio import _kernels
    from mndt.state import Action, Demand
    from mndt.streams import Streams
    from mndt.users.mobility import UserParameters

    outdoor = round(n_cells * 39 / 184)
    city = synthetic_city(outdoor_sites=outdoor, indoor_sites=n_cells - outdoor)
    world = engine.build_world(city, users=UserParameters(count=n_users), n_jobs=1)
    streams = Streams(0)
    state, _ = engine.step(world, engine.start(world), None, streams)
    memory: dict[str, Any] = {"state": state, "t": 0}
    rng = np.random.default_rng(1)
    everyone = np.arange(n_users, dtype=np.int32)
    n_blocks = -(-n_users // n_cells)  # one block for every user, as in the paper's allocation
    user_of_block = np.full((n_cells, n_blocks), -1, np.int32)
    user_of_block.ravel()[:n_users] = rng.permutation(everyone)
    power_w = np.where(user_of_block >= 0, 1.0 / n_blocks, 0.0).astype(np.float32)

    def moved() -> Any:
        memory["t"] += 1
        users = memory["state"].users
        shift_m = rng.normal(0, 1.5, (2, n_users)).astype(np.float32)
        return replace(users, x_m=users.x_m + shift_m[0], y_m=users.y_m + shift_m[1])

    def radio() -> None:
        links = world.channel.links(moved(), state.settings, streams.key("fading", memory["t"]))
        links.transmit(user_of_block, power_w)

    still = world.channel.links(state.users, state.settings, streams.key("fading", 0))
    x_m, y_m = (positions[city.cells.site].astype(np.float32) for positions in (city.sites.x_m, city.sites.y_m))

    def formula() -> None:
        users = moved()
        _kernels.gain_by_formula(users.x_m, users.y_m, x_m, y_m, 23.5, 560.0, 3.5, still.gain)
        still.transmit(user_of_block, power_w)

    def ran() -> None:
        before = memory["state"]
        demand = Demand(before.service, np.full(n_users, 1e6, np.float32))
        engine.serve(world, before, moved(), demand, Action(), streams)

    def twin() -> None:
        memory["state"], _ = engine.step(world, memory["state"], None, streams)

    return {"radio": radio, "formula": formula, "ran": ran, "twin": twin}


def _peak_mb() -> float:
    import resource

    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _crrm(n_users: int, n_cells: int, seconds: float) -> dict[str, Any] | None:
    """CRRM's figure from its own process, or None where it is not installed."""
    import json
    from importlib.util import find_spec

    if find_spec("CRRM") is None:
        return None
    command = [sys.executable, "-W", "ignore", "-m", "mndt.checks.peer_crrm", str(n_users), str(n_cells), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return {"name": "CRRM", "version": figures.pop("version"), "figures": figures}
