"""Table II of the paper, rebuilt: what each method delivers, and to how much of the demand, in four scenarios.

The paper's own channel, way and number of blocks are unknown, so its figures stand beside ours and are not
compared one to one: what can be compared is how much throughput satisfaction costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.errors import InputError, unknown_name
from mndt.experiments._table2_jobs import Job, Record, minutes_text, play_all
from mndt.experiments._table2_training import trained
from mndt.optimise.allocation.methods import LAMBDAS
from mndt.optimise.allocation.scenarios import SCENARIOS, TEST_SEEDS

Array = np.ndarray

PAPER: Final[dict[str, tuple[float, float]]] = {
    "ours": (4.61e5, 0.9528),
    "equally_dividing": (4.12e5, 0.9902),
    "ignoring": (5.18e5, 0.9145),
}
"""Throughput in units of bandwidth and satisfaction of the paper's Table II."""

JUDGED: Final = ("table2", "table2-umi", "table2-city")
"""Scenarios that unsuffixed figures are the worst of; in ``table2-45`` the floor may be out of reach."""

SEEDS: Final = 10
FRONTIER_SEEDS: Final = 2
FRONTIER_LAMBDAS: Final = (0.5, 2.0, 8.0, 32.0)
QUICK_LAMBDAS: Final = (8.0,)
QUICK: Final = {"n_users": 1000, "n_cells": 23, "n_steps": 20}
QUICK_SCENARIOS: Final = ("table2", "table2-umi")
QUICK_SEEDS: Final = 2
SECONDS_A_PASS: Final = 8.0
"""Of one core, for an episode of full size."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    label: str
    method: str
    knobs: tuple[tuple[str, float], ...] = ()
    causal: bool = True


def _lambda(value: float) -> tuple[tuple[str, float], ...]:
    return (("lambda_", float(value)),)


ROWS: Final = (
    Row("fundamentals", "fundamentals", "fundamentals"),
    Row("proportional_fair", "proportional fair", "proportional-fair"),
    Row("equally_dividing", "equally dividing", "equally-dividing"),
    Row("ignoring", "ignoring demands", "ignoring"),
    Row("ignoring_planned", "planner, ignoring demands", "planner", _lambda(0.0), causal=False),
    Row("chain", "the paper's chain", "chain"),
    Row("weighted", "by rule, 95 %", "weighted", _lambda(LAMBDAS[0.95])),
    Row("weighted_99", "by rule, 99 %", "weighted", _lambda(LAMBDAS[0.99])),
    Row("ours", "ours, 95 %", "learned", (("floor", 0.95),)),
    Row("ours_99", "ours, 99 %", "learned", (("floor", 0.99),)),
    Row("planner_99", "planner, 99 %", "planner", (("floor", 0.99),), causal=False),
)
"""What is played in every scenario and seed, and printed."""

FRONTIER: Final = {"weighted": "by rule", "learned": "ours"}
"""Methods that are also played with other lambdas, and how they are called."""

AGAIN: Final = Row("ignoring_again", "ignoring demands, other order", "ignoring")
IGNORING: Final = ("ignoring", "ignoring_again")
"""Runs of ignoring demands of which the best counts; the second looks at users in another order."""


def run(
    *, seeds: int | None = None, quick: bool = False, train: bool = False, out: Path = Path("table2"),
    scenarios: Sequence[str] | None = None, frontier: bool = True, n_jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Result:  # fmt: skip
    """Play every method in every scenario on test seeds.

    Args:
        seeds: how many, from 0 on; default 10, or 2 when quick.
        quick: an eighth of the users and cells at the same density, without the traced city.
        train: train the network of ours anew for each seed instead of taking the one that is shipped.
        out: folder of finished episodes and of the picture; what it holds is not played again.
        scenarios: which; default all.
        frontier: also play other lambdas and draw satisfaction against throughput.
        n_jobs: episodes at a time; default all cores.
        say: called with a sentence about how long it will take.

    Figures by method and scenario, e.g. `throughput_ours_table2_umi`: `throughput_*` (mean over seeds, units of
    bandwidth), `throughput_interval_*` and `satisfaction_interval_*` (half the 95 % interval of the mean),
    `satisfaction_*`, `satisfaction_min_*` (worst seed), `ms_*` (processor time of a decision), `powerless_*`
    (share of user-steps with less than a thousandth of a fair share of power). `ratio_M_to_ignoring*`: mean
    throughput by that of the best run on each seed that ignores demands, for the planner also with foresight.
    Without a scenario: the worst of the first three.

    Raises:
        InputError: too many seeds, an unknown scenario, or, for the traced city, no ray tracer.
    """
    names = list(scenarios or (QUICK_SCENARIOS if quick else SCENARIOS))
    for name in names:
        if name not in SCENARIOS:
            raise unknown_name("scenario", name, SCENARIOS)
    n = seeds or (QUICK_SEEDS if quick else SEEDS)
    if n > len(TEST_SEEDS):
        raise InputError("--seeds", n, allowed=f"1 to {len(TEST_SEEDS)}", fix="ask for fewer")
    _prepare(names, quick, say)
    size = tuple(QUICK.items()) if quick else ()
    weights = trained(names, n, size, out, n_jobs, say) if train else [""] * n
    more = frontier_rows(quick) if frontier else []
    wanted = {
        (name, seed, row): job_of(row, name, seed, size, weights[seed])
        for name in names
        for seed in range(n)
        for row in [*ROWS, AGAIN, *(more if seed < FRONTIER_SEEDS else [])]
    }
    if say is not None and not quick:
        say(_estimate(list(wanted.values()), n_jobs))
    records = play_all(list(wanted.values()), out / "episodes", n_jobs)
    found = {key: records[job] for key, job in wanted.items()}
    figures: dict[str, Figure] = {}
    for name in names:
        figures |= figures_of(name, {row.key: [found[name, s, row] for s in range(n)] for row in [*ROWS, AGAIN]})
    figures |= worst(figures, [name for name in names if name in JUDGED])
    picture = _draw(names, found, out) if frontier else None
    note = _note(names, n, quick, picture)
    return Result("table2", figures, seeds=list(range(n)), table=table(figures, names), note=note)


def _prepare(names: Sequence[str], quick: bool, say: Callable[[str], None] | None) -> None:
    """Trace the city before episodes go side by side: once, and not after an hour if it cannot be."""
    if "table2-city" not in names:
        return
    if quick:
        allowed = ", ".join(name for name in SCENARIOS if name != "table2-city")
        raise InputError("--scenario", "table2-city", allowed=f"{allowed} with --quick", fix="leave out --quick")
    from mndt.optimise.allocation.channels import traced_city

    if say is not None:
        say("gain maps of the city: about 5 minutes of tracing the first time, then a second")
    traced_city()


def frontier_rows(quick: bool) -> list[Row]:
    """Methods with a lambda, for several of it."""
    lambdas = QUICK_LAMBDAS if quick else FRONTIER_LAMBDAS
    return [
        Row(f"{method}_{lambda_:g}", label, method, _lambda(lambda_))
        for method, label in FRONTIER.items()
        for lambda_ in lambdas
    ]


def job_of(row: Row, scenario: str, seed: int, size: tuple[tuple[str, int], ...], weights: str) -> Job:
    """The episode behind a row."""
    own = weights if row.method == "learned" else ""
    return Job(scenario, seed, row.method, row.knobs, solver_seed=int(row is AGAIN), size=size, weights=own)


def figures_of(scenario: str, records: Mapping[str, Sequence[Record]]) -> dict[str, Figure]:
    """Figures of one scenario from the records of each row, seed by seed."""
    suffix = scenario.replace("-", "_")
    figures: dict[str, Figure] = {}
    delivered = {key: np.array([record.throughput for record in found]) for key, found in records.items()}
    best = np.max([delivered[key] for key in IGNORING], axis=0)
    for row in ROWS:
        found = records[row.key]
        satisfied = np.array([record.satisfaction for record in found])
        least = best if row.causal else np.maximum(best, delivered["ignoring_planned"])
        mine = {
            "throughput": delivered[row.key].mean(),
            "throughput_interval": half_interval(delivered[row.key]),
            "satisfaction": satisfied.mean(),
            "satisfaction_interval": half_interval(satisfied),
            "satisfaction_min": satisfied.min(),
            "ms": np.mean([record.ms for record in found]),
            "powerless": np.mean([record.powerless for record in found]),
        }
        figures |= {f"{name}_{row.key}_{suffix}": float(value) for name, value in mine.items()}
        figures[f"ratio_{row.key}_to_ignoring_{suffix}"] = float(delivered[row.key].mean() / least.mean())
    return figures


def half_interval(values: Array) -> float:
    """Half the 95 % interval of the mean by Student's t; NaN for a single value.

    >>> round(half_interval(np.array([1.0, 2.0, 3.0])), 3)
    2.484
    """
    if len(values) < 2:
        return float("nan")
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def worst(figures: Mapping[str, Figure], scenarios: Sequence[str]) -> dict[str, Figure]:
    """Unsuffixed figures: the least throughput, satisfaction and ratio, the most time and powerless users."""
    found: dict[str, Figure] = {}
    for row in ROWS:
        names = ("throughput", "satisfaction", "satisfaction_min", "ratio", "ms", "powerless")
        for name in names if scenarios else ():
            key = f"ratio_{row.key}_to_ignoring" if name == "ratio" else f"{name}_{row.key}"
            values = [float(figures[f"{key}_{scenario.replace('-', '_')}"] or 0.0) for scenario in scenarios]
            found[key] = max(values) if name in ("ms", "powerless") else min(values)
    return found


def table(figures: Mapping[str, Figure], scenarios: Sequence[str]) -> str:
    """The paper's lines, then every scenario's."""
    head = ["throughput", "+-", "of ignoring", "satisfied %", "+-", "worst seed %", "ms a step", "no power %"]
    rows = [["paper", *head]]
    for key, (throughput, satisfaction) in PAPER.items():
        label = next(row.label.partition(",")[0] for row in ROWS if row.key == key)
        ratio = throughput / PAPER["ignoring"][0]
        rows.append([f"  {label}", f"{throughput:,.0f}", "", f"{ratio:.3f}", f"{100 * satisfaction:.2f}", *[""] * 4])
    for scenario in scenarios:
        rows.append([scenario, *[""] * len(head)])
        rows += [_line(figures, row, scenario.replace("-", "_")) for row in ROWS]
    return aligned(rows)


def _line(figures: Mapping[str, Figure], row: Row, suffix: str) -> list[str]:
    def figure(name: str) -> float:
        return float(figures[f"{name}_{row.key}_{suffix}"] or 0.0)

    return [
        f"  {row.label}",
        f"{figure('throughput'):,.0f}",
        f"{figure('throughput_interval'):,.0f}",
        f"{float(figures[f'ratio_{row.key}_to_ignoring_{suffix}'] or 0.0):.3f}",
        f"{100 * figure('satisfaction'):.2f}",
        f"{100 * figure('satisfaction_interval'):.2f}",
        f"{100 * figure('satisfaction_min'):.2f}",
        f"{figure('ms'):.0f}",
        f"{100 * figure('powerless'):.1f}",
    ]


def _draw(names: Sequence[str], found: Mapping[tuple[str, int, Row], Record], out: Path) -> Path:
    """The frontier: means over the same seeds for curve and points."""
    from mndt.pictures.frontier import Point, save_frontier

    curves: dict[str, dict[str, list[Point]]] = {}
    for name in names:
        seeds = sorted({seed for _, seed, row in found if row not in ROWS and row is not AGAIN})
        rows = list(dict.fromkeys(row for scenario, _, row in found if scenario == name and row is not AGAIN))
        means = {row: _mean([found[name, seed, row] for seed in seeds]) for row in rows}
        ignoring = means[next(row for row in rows if row.key == "ignoring")]
        unit = ignoring.throughput
        curves[name] = {}
        for row, mean in means.items():
            label = row.label.partition(",")[0]
            curves[name].setdefault(label, []).append(Point(mean.satisfaction, mean.throughput / unit))
        for method in ("weighted", "learned"):  # with a lambda of 0 they ignore demands
            curves[name][FRONTIER[method]].append(Point(ignoring.satisfaction, 1.0))
    own = PAPER["ignoring"][0]
    paper = {key: Point(satisfied, throughput / own) for key, (throughput, satisfied) in PAPER.items()}
    return save_frontier(curves, paper, out / "frontier.png")


def _mean(records: Sequence[Record]) -> Record:
    columns = [[getattr(record, name) for record in records] for name in Record.__dataclass_fields__]
    return Record(*(float(np.mean(column)) for column in columns))


def _estimate(jobs: Sequence[Job], n_jobs: int | None) -> str:
    from mndt.parallel import core_count

    cores = n_jobs or core_count()
    about = minutes_text(SECONDS_A_PASS * sum(job.passes for job in jobs) / cores)
    return f"{len(jobs):,} episodes on {cores} cores: {about}, less what was played before"


def _note(names: Sequence[str], n: int, quick: bool, picture: Path | None) -> str:
    """What a reader should know about the figures."""
    said = [f"Means over seeds 0 to {n - 1}, which nothing was trained or tuned on, with half their 95 % intervals"]
    said.append("of ignoring: throughput by that of the best run that ignores demands")
    said.append("no power: less than a thousandth of a fair share of the cell's power in a step")
    if quick:
        said.append("quick: 1,000 users and 23 cells, and no traced city")
    if picture is not None:
        said.append(f"frontier: {picture}")
    return "; ".join(said) + "."
