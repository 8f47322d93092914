"""`mndt fit schedule` and `mndt train schedule`: a diary or a matrix in, a file for `users.schedule` out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.errors import InputError
from mndt.streams import Streams
from mndt.users import schedule_laws
from mndt.users.od_fit import OdFit, fit_matrix, generated_table
from mndt.users.od_zones import zones_of
from mndt.users.population import UserParameters
from mndt.users.rule_diary import rule_diary
from mndt.users.schedule_fit import fit_laws
from mndt.users.schedule_laws import ScheduleLaws
from mndt.users.schedule_statistics import NAMES, divergences, jensen_shannon, trips_of

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.formats.diary import Diary

LEAST_PEOPLE = 20
MADE_PEOPLE = 1500


def fit_schedule(
    *,
    diary: Path | None = None,
    places: Path | None = None,
    od: Path | None = None,
    zones: Path | None = None,
    city: str | None = None,
    out: Path,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """Fit the rules to a travel diary, a matrix of trips, or both, and write them.

    Args:
        diary: travel diary, see `formats.diary`.
        places: positions of its places, where it has none.
        od: matrix of trips, see `formats.od`; it decides who goes where to work.
        zones: centres of its zones, where it has names.
        city: scenario whose city tells who comes from outside, and on which the matrix is tried.
        out: file to write, .json.
        force: replace it.
        say: called with what is happening and what was left out.

    Raises:
        InputError: files that do not fit; nothing is written then.
    """
    if diary is None and od is None:
        raise InputError("--diary and --od", "both missing", allowed="at least one of them", fix="give a file")
    _check_out(out, ".json", force)
    figures: dict[str, Figure] = {}
    tables: list[str] = []
    laws = ScheduleLaws()
    if diary is not None:
        table = _read_diary(diary, places, say)
        laws = fit_laws(table)
        figures |= _reproduced(table, laws)
        tables.append(_diary_table(laws, figures))
    if od is not None:
        from mndt.formats import od as od_format

        matrix, info = od_format.read(od, zones)
        for line in info.lines():
            say(line)
        world = _open(city) if city else None
        laws, fit = fit_matrix(matrix, laws, world)
        figures |= _matrix_figures(fit, laws)
        if world is not None:
            figures |= _tried(world, laws)
        tables.append(
            aligned([["matrix", ""], *([key, _text(v)] for key, v in figures.items() if key.startswith("od_"))])
        )
    schedule_laws.save(laws, out)
    note = f"written to {out}: name it in a scenario as users.schedule"
    return Result("fit schedule", figures, seeds=[0], table="\n\n".join(tables), note=note)


def train_schedule(
    diary: Path,
    *,
    places: Path | None = None,
    out: Path,
    seed: int = 0,
    seconds: float = 240.0,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """Train the point process on a travel diary and write its weights.

    Args:
        diary: travel diary, see `formats.diary`.
        places: positions of its places, where it has none.
        out: file to write, .npz.
        seed: draws the start and the order.
        seconds: most processor time.
        force: replace the file.
        say: called with what is happening.

    Raises:
        InputError: files that do not fit, or the extra for learning is missing; nothing is written then.
    """
    _check_out(out, ".npz", force)
    table = _read_diary(diary, places, say)
    try:
        import jax  # noqa: F401

        from mndt.learn.schedule import train
    except ModuleNotFoundError as error:
        raise InputError(
            "package", f"{error.name} missing", allowed="the extra learn", fix="pip install 'mndt[learn]'"
        ) from None
    from mndt.users.point_process import save

    say(f"training on {len(table):,} trips of {table.n_persons:,} people, a minute or two ...")
    process, info = train(table, Streams(seed), seconds=seconds)
    made = process.sample(min(MADE_PEOPLE, 4 * table.n_persons), Streams(seed).generator("train-schedule-made"))
    figures: dict[str, Figure] = {
        "people": info.people, "trips": info.trips, "steps": info.steps, "nats_per_event": info.loss,
        "nats_per_event_held_back": info.held_back_loss,
    }  # fmt: skip
    figures |= {f"jsd_{name}_same_people": value for name, value in divergences(made, trips_of(table)).items()}
    save(process, out)
    note = (
        f"written to {out}: name it in a scenario as users.schedule; mndt validate schedule judges on people held out"
    )
    return Result("train schedule", figures, seeds=[seed], note=note)


def _check_out(out: Path, suffix: str, force: bool) -> None:
    """Minutes of work shall not end with an error that could be told before."""
    if out.suffix != suffix or not out.parent.is_dir():
        raise InputError("--out", out, allowed=f"a file {suffix} in a folder that exists", fix="change the name")
    if out.exists() and not force:
        raise InputError("--out", out, allowed="a new file", fix="choose another name, or replace it with --force")


def _read_diary(path: Path, places: Path | None, say: Callable[[str], None]) -> Diary:
    from mndt.formats import diary

    table, info = diary.read(path, places)
    for line in info.lines():
        say(line)
    if table.n_persons < LEAST_PEOPLE:
        raise InputError(
            "people", table.n_persons, allowed=f"at least {LEAST_PEOPLE}", fix="give a larger diary", where=str(path)
        )
    return table


def _open(city: str) -> City:
    from mndt.scenario import load, open_city

    scenario = load(city)
    return open_city(scenario.city, scenario.name)


def _reproduced(table: Diary, laws: ScheduleLaws) -> dict[str, Figure]:
    """How close the rules come to people they were not fitted to, half of the diary, and the published ones."""
    order = np.random.default_rng(0).permutation(table.n_persons)
    train, held = (table.take(np.sort(order[k::2])) for k in range(2))
    figures: dict[str, Figure] = {"people": table.n_persons, "trips": len(table)}
    truth = trips_of(held)
    for label, those in (("fitted", fit_laws(train)), ("published", ScheduleLaws())):
        made = rule_diary(train, those, MADE_PEOPLE, Streams(0).generator("fit-schedule"))
        figures |= {f"jsd_{name}_{label}": value for name, value in divergences(made, truth).items()}
    return figures


def _diary_table(laws: ScheduleLaws, figures: dict[str, Figure]) -> str:
    rows = [["divergence from people held out", "fitted", "published"]]
    for name in NAMES:
        rows.append([name.replace("_", " "), *(_text(figures[f"jsd_{name}_{k}"]) for k in ("fitted", "published"))])
    best = sorted(zip(laws.weekday_shares, laws.weekend_shares, laws.chains, strict=True), reverse=True)[:8]
    chains = [["chain", "weekday", "weekend"], *([c, f"{a:.1%}", f"{b:.1%}"] for a, b, c in best)]
    return f"{aligned(rows)}\n\n{aligned(chains)}"


def _matrix_figures(fit: OdFit, laws: ScheduleLaws) -> dict[str, Figure]:
    found: dict[str, Figure] = {
        "od_gravity_exponent": fit.exponent, "od_jsd_gravity": fit.jsd, "od_mean_km": fit.mean_km,
        "od_mean_km_gravity": fit.mean_km_gravity, "od_common_share_gravity": fit.common_share,
    }  # fmt: skip
    if laws.commuter_share is not None:
        found["od_commuter_share"] = laws.commuter_share
    return found


def _tried(world: City, laws: ScheduleLaws, n: int = 20_000) -> dict[str, Figure]:
    """Homes and works of people made in the city beside the matrix's trips inside it."""
    from mndt.users.places import pick
    from mndt.users.schedule import region_of

    zones, rng = zones_of(world, laws), Streams(0).generator("fit-schedule-od")
    assert zones is not None
    assert laws.matrix is not None
    home = pick(zones.homes, n, rng)
    work = region_of(world, laws, UserParameters()).work.draw(home, rng)
    made = generated_table(world, laws.matrix, home, work) / n
    given = zones.table / zones.table.sum()
    rows, columns = made.sum(axis=1) - given.sum(axis=1), made.sum(axis=0) - given.sum(axis=0)
    return {
        "od_trips_inside_share": float(zones.table.sum() / max(sum(laws.matrix.trips), 1e-300)),
        "od_jsd_made": jensen_shannon(made.ravel(), given.ravel()),
        "od_worst_row_sum_made": float(np.abs(rows).max()),
        "od_worst_column_sum_made": float(np.abs(columns).max()),
    }


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
