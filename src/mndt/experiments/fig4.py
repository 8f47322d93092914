"""Fig. 4 of the paper, rebuilt: a week of cell sleep on counted traffic, every method in three settings.

The first day is learned from and tunes every knob, the days after it are played. Cells and stations are drawn for the
traffic (`optimise.sleep.scenario`), several times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.errors import InputError
from mndt.experiments._fig4_methods import LABELS, Trained, build, train
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.oracle import oracle
from mndt.optimise.sleep.problem import Outcome, Setting, play
from mndt.optimise.sleep.scenario import fleet_for
from mndt.optimise.sleep.scores import score
from mndt.parallel import set_threads, side_by_side
from mndt.traffic_inputs import read_series
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import generate, load

Array = np.ndarray

SEEDS: Final = 3
TRAININGS: Final = 5
DAYS: Final = 7
QUICK: Final = (6, 6, 3)  # groups, grids of a group, days
GENERATED: Final = (28, 11)  # groups, grids of a group
PICTURED: Final = ("original", "peng", "myopic", "newsvendor", "ours", "oracle")
SHOWN: Final = ("saving", "switching", "j", "j10u", "unserved", "unserved_grids", "cell_switches", "station_switches")


@dataclass(frozen=True)
class Play:
    """One method in one setting and scenario."""

    setting: Setting
    method: str
    fleet_seed: int
    training: int
    figures: dict[str, float]
    energy_wh: Array  # slot by slot


def run(
    *, settings: Sequence[str] = ("a", "b", "c"), traffic: Path | None = None, seeds: int | None = None,
    quick: bool = False, margin: float = 1.5, switching: float = 1.0, share: float = 0.3,
    out: Path = Path("fig4"), n_jobs: int | None = None, say: Callable[[str], object] | None = None,
) -> Result:  # fmt: skip
    """Learn from the first day, play the rest of the week.

    Args:
        settings: a, b, c.
        traffic: table of places, times and traffic, or .npz; default made up, by patterns fitted to Nanchang's.
        seeds: scenario seeds; default 3.
        quick: 36 places and 3 days, one scenario and two trainings.
        margin: capacity of a grid by its peak.
        switching: scale of switching costs.
        share: of stations in two grids.
        out: folder of the picture.
        n_jobs: how many at a time.
        say: called with sentences.

    Figures by method and setting, e.g. `j10u_ours_b`: see `optimise.sleep.scores.score`; `gap_to_oracle_*_a`, by how
    much energy and switching exceed the oracle's; `oracle_gap`, what the oracle could be off at most. With one
    setting keys without it too.

    Raises:
        InputError: the table does not fit, or is shorter than two days.
    """
    wanted = [Setting(name) for name in settings]
    observed = _traffic(traffic, quick, say)
    n = seeds or (1 if quick else SEEDS)
    trainings = 2 if quick else TRAININGS
    day = observed.traffic[:, : observed.slots_per_day]
    tasks = [(day, observed.group, observed.slots_per_day, seed, quick) for seed in range(trainings)]
    trained: list[Trained] = side_by_side(train, tasks, "training", n_jobs)
    parts = [(observed, seed, margin, switching, share, wanted, trained) for seed in range(n)]
    found = [one for part in side_by_side(_scenario, parts, "scenarios", n_jobs) for one in part]
    plays = [one for one in found if isinstance(one, Play)]
    figures = _figures(plays, wanted)
    figures["oracle_gap"] = max((one for one in found if isinstance(one, float)), default=float("nan"))
    picture = _draw(plays, observed, wanted, out)
    source = traffic.name if traffic else "made up by patterns fitted to Nanchang's (no counted traffic)"
    note = (
        f"{len(observed)} places, {observed.traffic.shape[1] // observed.slots_per_day} days, {n} scenarios, "
        f"{trainings} trainings; traffic: {source}; learned and tuned on day 1; picture: {picture}."
    )
    return Result("fig4", figures, seeds=list(range(n)), table=table(figures, wanted), note=note)


def _traffic(file: Path | None, quick: bool, say: Callable[[str], object] | None) -> Observed:
    """Whole days of traffic."""
    groups, places, days = QUICK if quick else (*GENERATED, DAYS)
    if file is None:
        patterns = load("nanchang")
        slots = days * patterns.slots_per_day
        return generate(patterns, [places] * groups, np.random.default_rng(4), slots=slots)
    held = read_series(file, say=say or (lambda line: None)).observed
    if quick:
        held = held.take(np.isin(held.group, np.unique(held.group)[:groups]))
    days = min(days, held.traffic.shape[1] // held.slots_per_day)
    if days < 2:
        raise InputError("traffic", f"{days} days", allowed="at least two whole days", fix="give a longer table")
    whole = held.traffic[:, : days * held.slots_per_day]
    return Observed(whole, held.group, held.slot_s)


def _scenario(
    task: tuple[Observed, int, float, float, float, list[Setting], list[Trained]],
) -> list[Play | float]:
    """All methods in all settings on one fleet; last the oracle's gap where it was asked for."""
    set_threads(1)
    observed, seed, margin, switching, share, settings, trained = task
    fleet = fleet_for(observed, seed, margin=margin, share=share, switching=switching)
    begin, found = observed.slots_per_day, []
    for setting in settings:
        for name, training, method in build(fleet, observed, setting, trained):
            outcome = play(fleet, observed.traffic, setting, method, begin=begin, slots_per_day=begin)
            found.append(_kept(fleet, observed, setting, name, seed, training, outcome))
    if Setting.KNOWN not in settings:
        return list(found)
    best = oracle(fleet, observed.traffic[:, begin:])
    outcome = play(
        fleet, observed.traffic, Setting.KNOWN, lambda moment: best.status[moment.slot - begin], begin=begin,
        slots_per_day=begin,
    )  # fmt: skip
    return [*found, _kept(fleet, observed, Setting.KNOWN, "oracle", seed, 0, outcome), best.gap]


def _kept(
    fleet: Fleet, observed: Observed, setting: Setting, name: str, seed: int, training: int, outcome: Outcome
) -> Play:
    per_day = observed.slots_per_day
    figures = score(fleet, observed.traffic, outcome, begin=per_day, slots_per_day=per_day)
    return Play(setting, name, seed, training, figures, outcome.energy_wh)


def _figures(plays: Sequence[Play], settings: Sequence[Setting]) -> dict[str, Figure]:
    """Means over scenarios of means over trainings; spread over trainings of ours."""
    figures: dict[str, Figure] = {}
    for setting in settings:
        names = dict.fromkeys(one.method for one in plays if one.setting is setting)
        rows = {name: [one for one in plays if one.setting is setting and one.method == name] for name in names}
        for name, ones in rows.items():
            for key in ones[0].figures:
                figures[f"{key}_{name}_{setting.value}"] = float(np.mean([one.figures[key] for one in ones]))
            figures[f"j10u_spread_{name}_{setting.value}"] = float(np.std([one.figures["j10u"] for one in ones]))
            if "oracle" in rows:
                figures[f"gap_to_oracle_{name}_{setting.value}"] = (
                    float(figures[f"j_{name}_{setting.value}"] or 0.0)
                    / float(np.mean([one.figures["j"] for one in rows["oracle"]]))
                    - 1.0
                )
    if len(settings) == 1:
        tail = f"_{settings[0].value}"
        figures |= {key.removesuffix(tail): value for key, value in figures.items() if key.endswith(tail)}
    return figures


def table(figures: dict[str, Figure], settings: Sequence[Setting]) -> str:
    """A block for each setting."""
    head = ["saving %", "switching %", "J %", "J + 10u %", "unserved %", "grid mean %", "cell sw", "station sw"]
    rows: list[list[str]] = []
    for setting in settings:
        rows.append([f"setting {setting.value}", *head])
        for name, label in LABELS.items():
            if f"j_{name}_{setting.value}" in figures:
                values = [float(figures[f"{key}_{name}_{setting.value}"] or 0.0) for key in SHOWN]
                rows.append([f"  {label}", *(_text(key, value) for key, value in zip(SHOWN, values, strict=True))])
    return aligned(rows)


def _text(key: str, value: float) -> str:
    if key in ("saving", "switching"):
        return f"{100.0 * value:.1f}"
    return f"{100.0 * value:.3f}" if key.startswith("unserved") else f"{value:.2f}"


def _draw(plays: Sequence[Play], observed: Observed, settings: Sequence[Setting], out: Path) -> Path:
    """The week of the first scenario and training, one panel a setting."""
    from mndt.pictures.week import save_week

    per_day = observed.slots_per_day
    panels = {
        setting.value: {
            LABELS[one.method]: one.energy_wh / 1000.0
            for one in plays
            if (one.setting, one.fleet_seed, one.training) == (setting, 0, 0) and one.method in PICTURED
        }
        for setting in settings
    }
    total = observed.traffic[:, per_day:].sum(axis=0)
    return save_week(panels, total, observed.slot_s, out / "fig4.png")
