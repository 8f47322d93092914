"""Times CRRM, a Python RAN simulator, in a process of its own; prints one JSON line.

CRRM (MIT) computes SINR and throughput of every user; it has no resource blocks, no power per
block, no fading, no buffers and no maps, so the amounts of work differ: docs/benchmarks.md says so.
`smart_update=False` is its faster mode when everybody moves, its smart update when few do.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np


def main(n_users: int, n_cells: int, seconds: float, moving: float) -> dict[str, float | str]:
    """Steps per second when a share of the users moves and every throughput is asked for."""
    from CRRM import Parameters, Simulator

    rng = np.random.default_rng(0)
    cells_m = np.c_[rng.uniform(-1000, 1000, (n_cells, 2)), np.full(n_cells, 25.0)]
    users_m = np.c_[rng.uniform(-1000, 1000, (n_users, 2)), np.full(n_users, 1.5)]
    simulator = Simulator(
        Parameters(
            cell_locations=cells_m,
            ue_initial_locations=users_m,
            pathloss_model_name="UMi",
            smart_update=moving < 1.0,
            n_subbands=1,
            display_colored=False,
        )
    )
    simulator.get_UE_throughputs()
    n_moved = max(1, round(moving * n_users))
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 3:
        move_m = np.c_[rng.normal(0, 1.5, (n_moved, 2)), np.zeros(n_moved)]
        moved = rng.choice(n_users, n_moved, replace=False) if moving < 1.0 else np.arange(n_users)
        rows = moved.tolist()  # 2.0.2 takes a list only
        begin = time.perf_counter()
        simulator.move_ue_locations(rows, move_m)
        simulator.get_UE_throughputs()
        durations.append(time.perf_counter() - begin)
    return {"version": version("CRRM"), "steps_per_s": 1.0 / float(np.median(durations)), "steps": len(durations)}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))))
