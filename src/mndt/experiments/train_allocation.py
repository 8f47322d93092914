"""`mndt train allocation`: the network behind ``learned``, trained so that it can be stopped and gone on with.

A folder holds all there is: `checkpoint.npz` (to go on from), `curve.parquet` (a row for every round and one for
every trial), `forecast.npz` (the weights) and `forecast.md` (what they were trained on).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from mndt.checks.output import Result
from mndt.errors import InputError, unknown_name
from mndt.files import whole_file
from mndt.optimise.allocation import forecast_training as training
from mndt.optimise.allocation.problem import FLOOR, Episode, play
from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, SCENARIOS, TUNING_SEEDS, episode

if TYPE_CHECKING:
    from mndt.optimise.allocation.forecast_training import Course

TRIAL: Final = 10
"""Rounds between two trials on seeds that are never trained on."""
TRIALS_ALIKE: Final = 3
"""Trials in a row that keep the floor in every scenario and bring nothing more: training stops."""
LEAST_GAIN: Final = 0.002
"""Of throughput, as a share: less is nothing."""


def train(
    scenarios: Sequence[str] = ("table2",), *, out: Path = Path("allocation"), minutes: float = 20.0,
    rounds: int | None = None, seed: int = 0, resume: bool = False, n_users: int | None = None,
    n_cells: int | None = None, floor: float = FLOOR, say: Callable[[str], None] | None = None,
) -> Result:  # fmt: skip
    """Train on scenarios in turn and write weights, card and curve after every round.

    Args:
        scenarios: names of Table II's; the network learns all of them.
        out: folder; must be new or empty unless `resume`.
        minutes: budget of this call. Training ends earlier when trials on seeds kept apart say so.
        rounds: or an exact number of rounds in all: equal bytes whatever the machine, and no trials.
        seed: of the start, the lambdas and the loads.
        resume: go on with what `out` holds.
        n_users, n_cells: other sizes than the scenario's, e.g. for a first try.
        floor: satisfaction to be kept in trials.
        say: called with a sentence about what happens.

    Raises:
        InputError: an unknown scenario, a folder that holds something else, nothing to go on from.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            raise unknown_name("--scenario", name, SCENARIOS)
    began, course = time.monotonic(), _begin(out, resume, seed)
    wished = {"n_users": n_users, "n_cells": n_cells}
    sizes: dict[str, Any] = {key: value for key, value in wished.items() if value is not None}
    trials: list[dict[str, Any]] = []

    def scene(number: int) -> Episode:
        return episode(scenarios[number % len(scenarios)], number, **sizes)

    def keep(course: Course) -> bool:
        """Write everything; whether training has come to its end."""
        if rounds is None and course.rounds % TRIAL == 0:
            trials.append(_trial(course, scenarios, sizes, floor))
            if say is not None:
                kept = ", ".join(f"{100 * share:.1f} %" for share in trials[-1]["satisfaction"])
                say(f"round {course.rounds}: satisfied {kept}; throughput {trials[-1]['throughput']:.4g}")
        _write(out, course, trials, scenarios, seed)
        return _settled(trials, floor)

    training.train(scene, minutes=minutes, rounds=rounds, seed=seed, course=course, after=keep)
    last = trials[-1] if trials else None
    figures = {
        "rounds": course.rounds,
        "loss": course.curve[-1]["loss"] if course.curve else None,
        "satisfaction_min": min(last["satisfaction"]) if last else None,
        "throughput": last["throughput"] if last else None,
        "minutes": (time.monotonic() - began) / 60.0,
    }
    return Result("train allocation", figures, seeds=[seed], note=f"weights: {out / 'forecast.npz'}")


def train_stage(
    stage: Literal["edges", "power"], scenario: str, *, out: Path = Path("allocation"), minutes: float = 20.0,
    seed: int = 0, resume: bool = False,
) -> Result:  # fmt: skip
    """Train the edges or the powers of the paper's chain: `chain.npz` and its card in `out`.

    Args:
        stage: what to train. Both go into one file: power after edges with `resume`.
        scenario: of Table II.
        out: folder; must be new or empty unless `resume`.
        minutes: budget.
        seed: of everything random but the episodes.
        resume: go on with what `out` holds.

    Raises:
        InputError: an unknown scenario, a folder that holds something else, nothing to go on from.
    """
    from mndt.optimise.allocation.stage_training import train_chain

    if scenario not in SCENARIOS:
        raise unknown_name("--scenario", scenario, SCENARIOS)
    file = place(out, "chain.npz", resume)
    figures = train_chain(scenario, file, stage=stage, minutes=minutes, seed=seed)
    return Result(f"train allocation {stage}", figures, seeds=[seed], note=f"weights: {file}")


def _begin(out: Path, resume: bool, seed: int) -> Course:
    """A new course, or the one to go on with."""
    kept = place(out, "checkpoint.npz", resume)
    return training.load(kept) if resume else training.start(seed)


def place(out: Path, name: str, resume: bool) -> Path:
    """The file in a folder that is new, or that holds it."""
    kept = out / name
    if resume:
        if not kept.is_file():
            raise InputError("--resume", out, allowed=f"a folder with {name}", fix="leave out --resume")
        return kept
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        fix = "choose another name, or go on with it by --resume"
        raise InputError("--out", out, allowed="a new or empty folder", fix=fix)
    out.mkdir(parents=True, exist_ok=True)
    return kept


def _trial(course: Course, scenarios: Sequence[str], sizes: dict[str, Any], floor: float) -> dict[str, Any]:
    """One episode of each scenario, on a seed for tuning."""
    from mndt.optimise.allocation.methods import learned

    satisfaction, throughput = [], 0.0
    for name in scenarios:
        scene = episode(name, TUNING_SEEDS[0], **sizes)
        outcome = play(scene, learned(scene, weights=course.weights, floor=floor))
        satisfaction.append(outcome.satisfaction)
        throughput += outcome.throughput
    return {"round": course.rounds, "satisfaction": satisfaction, "throughput": throughput}


def _settled(trials: Sequence[dict[str, Any]], floor: float) -> bool:
    """The last trials keep the floor in all scenarios, and more training brought no more throughput."""
    last = trials[-TRIALS_ALIKE:]
    if len(last) < TRIALS_ALIKE or any(min(trial["satisfaction"]) < floor for trial in last):
        return False
    return bool(max(trial["throughput"] for trial in last) <= (1.0 + LEAST_GAIN) * last[0]["throughput"])


def _write(out: Path, course: Course, trials: Sequence[dict[str, Any]], scenarios: Sequence[str], seed: int) -> None:
    """Checkpoint last, so that what it says is there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole_file(out / "forecast.npz") as part, part.open("wb") as file:
        weights: dict[str, Any] = dict(course.weights)
        np.savez(file, **weights)
    tried = {trial["round"]: trial for trial in trials}
    names = ("round", "lambda", "throughput", "satisfaction", "loss", "short")
    columns: dict[str, list[Any]] = {name: [row[name] for row in course.curve] for name in names}
    columns["trial_satisfaction_min"] = [
        min(tried[row["round"]]["satisfaction"]) if row["round"] in tried else None for row in course.curve
    ]
    columns["trial_throughput"] = [tried.get(row["round"], {}).get("throughput") for row in course.curve]
    with whole_file(out / "curve.parquet") as part:
        pq.write_table(pa.table(columns), part)
    with whole_file(out / "forecast.md") as part:
        part.write_text(card(course, scenarios, seed), encoding="utf-8")
    training.save(course, out / "checkpoint.npz")


def card(course: Course, scenarios: Sequence[str], seed: int) -> str:
    """What the weights were trained on."""
    command = "mndt train allocation " + " ".join(f"--scenario {name}" for name in scenarios)
    size = sum(array.size for array in course.weights.values())
    return f"""# Network behind the method `learned`

Weights of `mndt.optimise.allocation.forecast`, {size:,} numbers, written by `{command} --seed {seed}`
after {course.rounds} rounds.

| trained on | |
|---|---|
| scenarios | {", ".join(scenarios)}, in turn |
| seeds | {FIRST_TRAINING_SEED} to {FIRST_TRAINING_SEED + course.rounds - 1}; seeds below are for tests and tuning |
| lambda | one of {", ".join(f"{value:g}" for value in training.LAMBDAS)} in each round |
| load | everyone's demand times {training.LOADS[0]:g} to {training.LOADS[1]:g} |
| first {training.BY_RULE} rounds | played by the rule `weighted`, the others by the network itself |
| loss in the last round | {course.curve[-1]["loss"] if course.curve else float("nan"):.3f} |
"""
