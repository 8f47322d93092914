"""Times CRRM, a Python RAN simulator, in a process of its own; prints one JSON line.

CRRM (MIT) computes SINR and throughput of every user; it has no resource blocks, no power per
block, no fading, no buffers and no maps, so the amounts of work differ: docs/benchmarks.md says so.
`smart_update=False` is its faster mode when everybody moves.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np


def main(n_users: int, n_cells: int, seconds: float) -> dict[str, float | str]:
    """Steps per second when all users move and every throughput is asked for."""
    from CRRM import Parameters, Simulator

    rng = np.random.default_rng(0)
    cells_m = np.c_[rng.uniform(-1000, 1000, (n_cells, 2)), np.full(n_cells, 25.0)]
    users_m = np.c_[rng.uniform(-1000, 1000, (n_users, 2)), np.full(n_users, 1.5)]
    simulator = Simulator(
        Parameters(
            cell_locations=cells_m,
            ue_initial_locations=users_m,
            pathloss_model_name="UMi",
            smart_update=False,
            n_subbands=1,
            display_colored=False,
        )
    )
    simulator.get_UE_throughputs()
    everyone = list(range(n_users))  # 2.0.2 takes a list only
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 3:
        move_m = np.c_[rng.normal(0, 1.5, (n_users, 2)), np.zeros(n_users)]
        begin = time.perf_counter()
        simulator.move_ue_locations(everyone, move_m)
        simulator.get_UE_throughputs()
        durations.append(time.perf_counter() - begin)
    return {"version": version("CRRM"), "steps_per_s": 1.0 / float(np.median(durations)), "steps": len(durations)}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
