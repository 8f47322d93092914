"""`mndt bench allocation`: how long one step of allocation takes, how good it is, and how that grows.

A step is decided as in the middle of an episode: from the choice of the step before, on a seed for tuning. Times are
processor time of one thread, least of several. Quality is the worth of a choice beside that which a hundred times the
time reaches from the same state: worth by user for everyone's rate (`ones`), and with four times as much for what a
user lacks (`favour`), which is what the method of ours asks for at a high floor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.checks.bench_step import exponent
from mndt.checks.output import Figure, Result
from mndt.optimise.allocation.forecast import by_mean, mean_rate
from mndt.optimise.allocation.methods import ignoring
from mndt.optimise.allocation.pipeline import make_pipeline
from mndt.optimise.allocation.problem import Choice, Episode, Moment, rates
from mndt.optimise.allocation.scenarios import TUNING_SEEDS, episode
from mndt.optimise.allocation.solver import CONVERGED, NORMAL, Effort, Worth, solve

SCENARIOS: Final = ("table2", "table2-umi", "table2-city")
STEP: Final = 6
"""That is timed; those before it are played."""
REPEATS: Final = 5
LAMBDA: Final = 4.0
USERS: Final = (1000, 2000, 4000, 8000, 16_000)
CELLS: Final = (46, 92, 184, 368)
AT: Final = (8000, 184)
MANY: Final = 13_000
QUICK: Final[dict[str, Any]] = {"n_users": 1000, "n_cells": 23}

EFFORTS: Final[dict[str, Effort]] = {
    "ours, hasty": replace(NORMAL, trades=2, settling_steps=10, power_steps=10, candidates=2, shortlist=2),
    "ours": NORMAL,
    "ours, 3 rounds": replace(NORMAL, rounds=3),
    "ours, 8 rounds": replace(NORMAL, rounds=8, power_steps=50),
    "ours, converged": CONVERGED,
}
"""Label -> the solver's."""

STAGES: Final[dict[str, tuple[str, str, str]]] = {
    "strongest cell, random block, equal power": ("strongest", "random", "equal"),
    "exact cells, linear price, WMMSE": ("exact", "hungarian-linear-price", "wmmse"),
    "strongest cell, exchange, gradient": ("strongest", "exchange", "gradient"),
    "learned edges, gradient": ("learned", "learned", "gradient"),
    "learned edges, learned power": ("learned", "learned", "learned"),
}
"""Label -> association, blocks and power of a chain in which demands are ignored."""


@dataclass(frozen=True)
class Timed:
    """A choice for one state."""

    ms: float
    worth: float  # by user


def run(*, quick: bool = False, out: Path | None = None, traced: bool | None = None) -> Result:
    """Time and judge a step in three scenarios, and see how it grows.

    Args:
        quick: an eighth of the users and cells, without the traced city and larger sizes.
        out: folder for two pictures, `quality.png` and `growth.png`.
        traced: with the traced city; None: where a ray tracer is installed.

    Figures: `ms_per_step` (the most of the scenarios) and `quality_of_converged` (the least of scenarios and worths),
    both also by scenario; `ms_13000`; `steps_per_s_USERSxCELLS`, `exponent_users`, `exponent_cells` (of milliseconds
    by size); `ms_*` and `quality_*` by chain and effort in ``table2-umi``.
    """
    names = SCENARIOS if (_has_tracer() if traced is None else traced) and not quick else SCENARIOS[:2]
    figures: dict[str, Figure] = {}
    curves: dict[str, dict[str, Timed]] = {}
    for name in names:
        suffix, moment = name.replace("-", "_"), _middle(episode(name, TUNING_SEEDS[0], **(QUICK if quick else {})))
        best = {kind: _solved(moment, worth, CONVERGED, 1) for kind, worth in _worths(moment).items()}
        mine = {kind: _solved(moment, worth, NORMAL, REPEATS) for kind, worth in _worths(moment).items()}
        figures[f"ms_per_step_{suffix}"] = max(timed.ms for timed in mine.values())
        for kind, timed in mine.items():
            figures[f"quality_of_converged_{suffix}_{kind}"] = timed.worth / best[kind].worth
            figures[f"times_of_converged_{suffix}_{kind}"] = best[kind].ms / timed.ms
        curves[name] = _compared(moment, best["ones"])
        for label, timed in curves[name].items():
            key = label.replace(",", "").replace(" ", "_")
            figures[f"ms_{key}_{suffix}"] = timed.ms
            figures[f"quality_{key}_{suffix}"] = timed.worth / best["ones"].worth
    figures["ms_per_step"] = max(_all(figures, "ms_per_step_"))
    figures["quality_of_converged"] = min(_all(figures, "quality_of_converged_"))
    if not quick:
        figures |= _growth()
        figures["ms_13000"] = _ms(MANY, AT[1])
    pictures = "" if out is None else f"; pictures: {_draw(curves, figures, out, not quick)}"
    note = f"One thread, processor time, seed {TUNING_SEEDS[0]}, step {STEP} of 20{pictures}."
    return Result("allocation", figures, seeds=[TUNING_SEEDS[0]], note=note)


def _all(figures: dict[str, Figure], start: str) -> list[float]:
    return [float(value or 0.0) for key, value in figures.items() if key.startswith(start)]


def _middle(scene: Episode) -> Moment:
    """The state at `STEP`, as ignoring demands comes to it."""
    method, moment = ignoring(scene), scene.start()
    while moment.step < STEP:
        after, _ = scene.advance(moment, method(moment))
        assert after is not None, "the episode is longer"
        moment = after
    return moment


def _worths(moment: Moment) -> dict[str, Worth]:
    ones = np.ones(len(moment.demand))
    short = by_mean(moment, mean_rate(moment) or 1.0)
    return {"ones": Worth.of(ones), "favour": Worth.of(ones, LAMBDA * short, moment.unmet)}


def worth_by_user(moment: Moment, worth: Worth, choice: Choice) -> float:
    """What a choice is worth, without rounding of the minimum."""
    rate = rates(moment.gain, choice, moment.limits).astype(np.float64)
    return float((worth.weight * rate + worth.bonus * np.minimum(rate, worth.need)).mean())


def _solved(moment: Moment, worth: Worth, effort: Effort, repeats: int) -> Timed:
    decide = partial(solve, moment.gain, moment.limits, worth, warm=moment.previous, effort=effort, seed=1)
    return _timed(decide, lambda choice: worth_by_user(moment, worth, choice), repeats)


def _timed(decide: Callable[[], Choice], value: Callable[[Choice], float], repeats: int) -> Timed:
    """Least processor time of several, after one that compiles where there are several."""
    if repeats > 1:
        decide()
    took = []
    for _ in range(repeats):
        began = time.process_time()
        choice = decide()
        took.append(time.process_time() - began)
    return Timed(1e3 * min(took), value(choice))


def _compared(moment: Moment, best: Timed) -> dict[str, Timed]:
    """Chains and efforts from the same state, for throughput alone."""
    worth = _worths(moment)["ones"]
    found: dict[str, Timed] = {}
    for label, (association, blocks, power) in STAGES.items():
        method = make_pipeline("none", association, blocks, power)
        found[label] = _timed(partial(method, moment), lambda choice: worth_by_user(moment, worth, choice), 2)
    for label, effort in EFFORTS.items():
        found[label] = best if effort is CONVERGED else _solved(moment, worth, effort, 2)
    return found


def _growth() -> dict[str, Figure]:
    """Of a step in ``table2``, at the scenario's density of cells."""
    ms = {(users, AT[1]): _ms(users, AT[1]) for users in USERS}
    ms |= {(AT[0], cells): _ms(AT[0], cells) for cells in CELLS if cells != AT[1]}
    figures: dict[str, Figure] = {f"steps_per_s_{users}x{cells}": 1e3 / value for (users, cells), value in ms.items()}
    figures["exponent_users"] = exponent(USERS, [ms[users, AT[1]] for users in USERS])
    figures["exponent_cells"] = exponent(CELLS, [ms[AT[0], cells] for cells in CELLS])
    return figures


def _ms(n_users: int, n_cells: int) -> float:
    moment = _middle(episode("table2", TUNING_SEEDS[0], n_users=n_users, n_cells=n_cells))
    return _solved(moment, _worths(moment)["ones"], NORMAL, 3).ms


def _draw(curves: dict[str, dict[str, Timed]], figures: dict[str, Figure], out: Path, growth: bool) -> str:
    from mndt.pictures.quality import save_quality
    from mndt.pictures.scaling import save_scaling

    out.mkdir(parents=True, exist_ok=True)
    panels = {
        name: {label: (timed.ms, timed.worth / found["ours, converged"].worth) for label, timed in found.items()}
        for name, found in curves.items()
    }
    paths = [save_quality(panels, out / "quality.png")]
    if growth:
        paths.append(save_scaling(figures, out / "growth.png"))
    return ", ".join(map(str, paths))


def _has_tracer() -> bool:
    from importlib.util import find_spec

    return find_spec("sionna") is not None
