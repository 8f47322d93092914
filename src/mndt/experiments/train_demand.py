"""`mndt train allocation --stage demand`: the policy of single-step demands, stopped and gone on with as one likes.

A folder holds all there is: `demand.npz` (the weights, and what is needed to go on), `curve.parquet` (a row for every
round) and `demand.md` (what they were trained on).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checks.output import Result
from mndt.errors import unknown_name
from mndt.experiments.train_allocation import place
from mndt.files import whole_file
from mndt.optimise.allocation.problem import FLOOR, Episode
from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, SCENARIOS, episode

if TYPE_CHECKING:
    from mndt.optimise.allocation.demand_training import Algorithm, Course

STRETCH: Final = 40
"""Rounds whose mean is compared with that of as many before."""
LEAST_GAIN: Final = 0.002
"""Of throughput, as a share: less is nothing."""


def train_demand(
    scenarios: Sequence[str] = ("table2",), *, out: Path = Path("allocation"), algorithm: Algorithm = "p3o",
    minutes: float = 20.0, rounds: int | None = None, seed: int = 0, resume: bool = False, n_users: int | None = None,
    n_cells: int | None = None, floor: float = FLOOR, say: Callable[[str], None] | None = None,
) -> Result:  # fmt: skip
    """Train on scenarios in turn and write weights, card and curve after every round.

    Args:
        scenarios: names of Table II's.
        out: folder; must be new or empty unless `resume`.
        algorithm: P3O, or PPO with a Lagrange multiplier.
        minutes: budget of this call; ends earlier when the floor is kept and throughput no longer rises.
        rounds: or an exact number of rounds in all: equal bytes whatever the machine.
        seed: of the start and of what is tried.
        resume: go on with what `out` holds, by its algorithm.
        n_users, n_cells: other sizes than the scenario's; at the same density a quarter learns as much.
        floor: satisfaction to be kept.
        say: called with a sentence about what happens.

    Raises:
        InputError: an unknown scenario, a folder that holds something else, nothing to go on from.
    """
    from mndt.optimise.allocation import demand_training as training

    for name in scenarios:
        if name not in SCENARIOS:
            raise unknown_name("--scenario", name, SCENARIOS)
    began, file = time.monotonic(), place(out, "demand.npz", resume)
    wished = {"n_users": n_users, "n_cells": n_cells}
    sizes: dict[str, Any] = {key: value for key, value in wished.items() if value is not None}

    def scene(number: int) -> Episode:
        return episode(scenarios[number % len(scenarios)], number, **sizes)

    def keep(course: Course) -> bool:
        _write(out, course, scenarios, sizes)
        if say is not None and course.rounds % STRETCH == 0:
            last = course.curve[-STRETCH:]
            satisfied, brought = (np.mean([row[name] for row in last]) for name in ("satisfaction", "throughput"))
            say(f"round {course.rounds}: satisfied {100 * satisfied:.1f} %, throughput {brought:.4g}")
        return rounds is None and settled(course.curve, len(scenarios), floor)

    course = training.load(file) if resume else None
    course = training.train(
        scene, minutes=minutes, rounds=rounds, seed=seed, algorithm=algorithm, floor=floor, course=course, after=keep
    )
    last = course.curve[-STRETCH:]
    figures = {
        "rounds": course.rounds,
        "satisfaction": float(np.mean([row["satisfaction"] for row in last])),
        "throughput": float(np.mean([row["throughput"] for row in last])),
        "minutes": (time.monotonic() - began) / 60.0,
    }
    return Result("train allocation demand", figures, seeds=[seed], note=f"weights: {file}")


def settled(curve: Sequence[dict[str, float]], n_scenarios: int, floor: float) -> bool:
    """In every scenario the floor is kept over the last stretch, and throughput rose no more over it."""
    if len(curve) < 2 * STRETCH:
        return False
    for first in range(n_scenarios):
        rows = [row for row in curve if (row["round"] - 1) % n_scenarios == first]
        half = STRETCH // n_scenarios
        last, before = rows[-half:], rows[-2 * half : -half]
        if np.mean([row["satisfaction"] for row in last]) < floor:
            return False
        brought = [np.mean([row["throughput"] for row in part]) for part in (last, before)]
        if brought[0] > (1.0 + LEAST_GAIN) * brought[1]:
            return False
    return True


def _write(out: Path, course: Course, scenarios: Sequence[str], sizes: dict[str, Any]) -> None:
    """Weights last, so that what they go on from is there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mndt.optimise.allocation.demand_training import save

    with whole_file(out / "curve.parquet") as part:
        pq.write_table(pa.Table.from_pylist(course.curve), part)
    with whole_file(out / "demand.md") as part:
        part.write_text(card(course, scenarios, sizes), encoding="utf-8")
    save(course, out / "demand.npz")


def card(course: Course, scenarios: Sequence[str], sizes: dict[str, Any]) -> str:
    """What the weights were trained on."""
    named = "".join(f" --scenario {name}" for name in scenarios)
    sized = "".join(f" --{name.removeprefix('n_')} {value}" for name, value in sizes.items())
    size = sum(np.size(array) for array in course.params.values())
    last = course.curve[-STRETCH:]
    return f"""# Policy of single-step demands

Weights of `mndt.learn.demand_policy`, {size:,} numbers, written by
`mndt train allocation --stage demand --method {course.algorithm}{named}{sized} --rounds {course.rounds}`.

| trained on | |
|---|---|
| scenarios | {", ".join(scenarios)}, in turn |
| seeds | {FIRST_TRAINING_SEED} to {FIRST_TRAINING_SEED + course.rounds - 1}; seeds below are for tests and tuning |
| satisfied in the last {len(last)} rounds | {100 * np.mean([row["satisfaction"] for row in last]):.2f} % |
"""
