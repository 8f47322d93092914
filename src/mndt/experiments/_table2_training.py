"""`mndt reproduce table2 --train`: the network of ours, trained anew for every seed of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.experiments._table2_jobs import minutes_text
from mndt.files import whole_file
from mndt.parallel import core_count, side_by_side

ROUNDS: Final = 36
"""Episodes played and learned from for one network."""

QUICK_ROUNDS: Final = 6
SECONDS_A_ROUND: Final = 12.0
"""Of one core at full size."""

APART: Final = 10_000
"""Between the first episodes of two trainings: no two see the same."""

Size = tuple[tuple[str, int], ...]


def trained(
    names: Sequence[str], n: int, size: Size, out: Path, n_jobs: int | None, say: Callable[[str], None] | None
) -> list[str]:
    """Files of weights, one for every seed, each trained on all scenarios in turn."""
    rounds, cores = QUICK_ROUNDS if size else ROUNDS, n_jobs or core_count()
    if say is not None:
        about = minutes_text((1.0 if size else SECONDS_A_ROUND) * rounds * n / min(cores, n))
        say(f"training {n} networks on {rounds} episodes each, {about} on {cores} cores")
    (out / "weights").mkdir(parents=True, exist_ok=True)
    tasks = [(tuple(names), seed, size, rounds, str(out / "weights" / f"{seed}.npz")) for seed in range(n)]
    side_by_side(train_one, tasks, "training", n_jobs)
    return [task[-1] for task in tasks]


def train_one(task: tuple[tuple[str, ...], int, Size, int, str]) -> None:
    """Train one network and keep its weights."""
    from mndt.optimise.allocation.forecast_training import train

    names, seed, size, rounds, file = task
    course = train(partial(scene_of, names, seed, size), rounds=rounds, seed=seed)
    with whole_file(Path(file)) as part, part.open("wb") as opened:
        weights: dict[str, Any] = {name: np.asarray(array) for name, array in course.weights.items()}
        np.savez(opened, **weights)


def scene_of(names: tuple[str, ...], seed: int, size: Size, number: int) -> Any:
    """The training episode of a number: scenarios in turn, users and maps that no other training sees."""
    from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, episode

    drawn = FIRST_TRAINING_SEED + APART * (seed + 1) + number
    sizes: dict[str, Any] = dict(size)
    return episode(names[number % len(names)], drawn, **sizes)
