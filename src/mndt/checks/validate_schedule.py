"""`mndt validate schedule`: learned and rule-based schedules beside the half of a diary neither has seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.streams import Streams
from mndt.users.rule_diary import rule_diary
from mndt.users.schedule_fit import fit_laws
from mndt.users.schedule_laws import ScheduleLaws
from mndt.users.schedule_statistics import NAMES, TripTable, divergences, trips_of

if TYPE_CHECKING:
    from mndt.formats.diary import Diary
    from mndt.users.point_process import PointProcess

Array = np.ndarray
LEAST_PEOPLE: Final = 40
MADE_PEOPLE: Final = 3000
"""People each generator makes: enough that their chance adds next to nothing to the divergences."""
MADE_TRIPS: Final = 250_000
"""Where people make very many trips, fewer people do."""
QUICK_STEPS: Final = 350
MOST_PEOPLE: Final = 2500
"""People of each half; larger diaries are thinned."""


def run(
    *, diary: Path | None = None, places: Path | None = None, seed: int = 0, quick: bool = False,
    say: Callable[[str], None] = print,
) -> Result:  # fmt: skip
    """Split the people into halves, fit and train on one, compare with the other.

    Args:
        diary: a travel diary; without one a made-up diary stands in, and the figures say nothing about people.
        places: positions of its places, where it has none.
        seed: of the split, the training and what is generated.
        quick: a short training.
        say: called with what is happening.

    Figures: Jensen-Shannon divergences (natural logarithm) of five distributions from the held-out half:
    ``jsd_NAME_learned``, ``_rules`` (fitted to the same half), ``_rules_unfitted``, ``_resample`` (the training
    half itself: what chance alone does), ``closer_of_5``: where learned is below the fitted rules.
    """
    table = _read(diary, places, say)
    order = Streams(seed).generator("validate-schedule-split").permutation(table.n_persons)
    halves = [np.sort(order[k::2])[:MOST_PEOPLE] for k in range(2)]
    train, held = (table.take(rows) for rows in halves)
    say(f"training on {train.n_persons:,} people, judged on {held.n_persons:,} others ...")
    process = _train(train, seed, quick)
    return compared(train, held, process, seed=seed, real=diary is not None, n=1000 if quick else MADE_PEOPLE)


def compared(
    train: Diary, held: Diary, process: PointProcess, *, seed: int = 0, real: bool = False, n: int = MADE_PEOPLE
) -> Result:
    """Divergences of all generators from the held-out people.

    Args:
        train: people the process was trained on.
        held: others.
        process: trained weights.
        seed: of what is generated.
        real: whether the diary is of people who exist.
        n: people each generator makes.
    """
    streams, truth = Streams(seed), trips_of(held)
    n = int(np.clip(MADE_TRIPS * train.n_persons / max(len(train), 1), 300, n))
    made: dict[str, TripTable] = {
        "learned": process.sample(n, streams.generator("validate-schedule-learned")),
        "rules": rule_diary(train, fit_laws(train), n, streams.generator("validate-schedule-rules")),
        "rules_unfitted": rule_diary(train, ScheduleLaws(), n, streams.generator("validate-schedule-rules")),
        "resample": trips_of(train),
    }
    figures: dict[str, Figure] = {}
    for scaled, infix in ((False, ""), (True, "_scaled")):
        for label, trips in made.items():
            found = divergences(trips, truth, scaled=scaled)
            figures |= {f"jsd_{name}{infix}_{label}": found[name] for name in NAMES}
        # a distribution that falls into one bin tells nothing: equal is not closer
        closer = [
            name for name in NAMES if _figure(figures, name, infix, "learned") < _figure(figures, name, infix, "rules")
        ]
        figures[f"closer{infix}_of_5"] = len(closer)
    figures |= {"people_train": train.n_persons, "people_held_out": held.n_persons, "trips_held_out": len(held)}
    figures["real"] = real
    kind = "validation on people held out" if real else "self-consistency: the diary is made up, no validation"
    worse = [name for name in NAMES if _figure(figures, name, "", "learned") >= _figure(figures, name, "", "rules")]
    note = f"{kind}; learned is closer than the fitted rules in {figures['closer_of_5']} of 5"
    note += f", not in {', '.join(worse)}" if worse else ""
    return Result("schedule", figures, seeds=[seed], table=_table(figures, list(made)), note=note)


def _figure(figures: dict[str, Figure], name: str, infix: str, label: str) -> float:
    value = figures[f"jsd_{name}{infix}_{label}"]
    assert isinstance(value, float)
    return value


def _table(figures: dict[str, Figure], labels: list[str]) -> str:
    rows = [["divergence from held-out people", *(label.replace("_", " ") for label in labels)]]
    for infix in ("", "_scaled"):
        for name in NAMES:
            values = [f"{_figure(figures, name, infix, label):.5f}" for label in labels]
            rows.append([name.replace("_", " ") + (", bins to scale" if infix else ""), *values])
    return aligned(rows)


def _read(path: Path | None, places: Path | None, say: Callable[[str], None]) -> Diary:
    from mndt.errors import InputError
    from mndt.formats import diary

    if path is None:
        from mndt.users.made_up_diary import made_up_diary

        return made_up_diary(400, Streams(0).generator("made-up-diary"))
    table, info = diary.read(path, places)
    for line in info.lines():
        say(line)
    if table.n_persons < LEAST_PEOPLE:
        raise InputError(
            "people", table.n_persons, allowed=f"at least {LEAST_PEOPLE}", fix="give a larger diary", where=str(path)
        )
    return table


def _train(train: Diary, seed: int, quick: bool) -> PointProcess:
    from mndt.errors import InputError

    try:
        import jax  # noqa: F401

        from mndt.learn.schedule import train as fit
    except ModuleNotFoundError as error:
        raise InputError(
            "package", f"{error.name} missing", allowed="the extra learn", fix="pip install 'mndt[learn]'"
        ) from None
    return fit(train, Streams(seed), steps=QUICK_STEPS if quick else None)[0]
