"""Verbs about files: scenarios, cities, measurements, exports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from mndt.cli.app import json_option, main, say, show


@main.group()
def scenario() -> None:
    """Make and check scenario files."""


@scenario.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preset", default="helsinki", show_default=True, help="What to start from.")
def scenario_new(file: Path, preset: str) -> None:
    """Write a scenario file in which every key is explained."""
    from mndt.errors import InputError
    from mndt.runfolder import write_text
    from mndt.scenario import dump, load

    if file.exists():
        raise InputError("FILE", file, allowed="a new file", fix="choose another name")
    write_text(file, dump(load(preset)))
    click.echo(f"{file}: edit it, then mndt run {file}")


@scenario.command("check")
@click.argument("scenario")
def scenario_check(scenario: str) -> None:
    """Check a scenario with its city and inventory, without running it."""
    from mndt.runs import check, hints
    from mndt.scenario import load

    checked = load(scenario)
    for repair in check(checked, say=click.echo).repairs:
        click.echo(f"put right: {repair}")
    for hint in hints(checked):
        click.echo(f"note: {hint}")
    click.echo(f"{scenario}: fine ({checked.run.steps:,} steps from {checked.run.start}, {checked.run.policy})")


@scenario.command("show")
@click.argument("scenario")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key.")
def scenario_show(scenario: str, settings: Sequence[str]) -> None:
    """Print a scenario with every key and its meaning."""
    from mndt.scenario import dump, load, set_value

    chosen = load(scenario)
    for setting in settings:
        chosen = set_value(chosen, setting)
    click.echo(dump(chosen), nl=False)


@scenario.command("schema")
def scenario_schema() -> None:
    """Print the JSON schema of scenario files."""
    import json

    from mndt.scenario import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.group("import")
def import_() -> None:
    """Make a city from the user's own data."""


@import_.command("osm")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bbox", metavar="W,S,E,N", help="Box in degrees  [default: the whole extract]")
@click.option("--sites", type=click.Path(path_type=Path), help="Cell inventory, CSV; sites are placed without one.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws placed sites.")
@click.option("--force", is_flag=True, help="Replace an imported city.")
def import_osm(file: Path, bbox: str | None, sites: Path | None, out: Path, seed: int, force: bool) -> None:
    """Read an OpenStreetMap extract (.osm.pbf) and write DIR/scenario.toml, city.npz and cells.csv."""
    from mndt.imports import import_osm as read

    for line in read(file, bbox=bbox, sites=sites, out=out, seed=seed, force=force, say=say):
        click.echo(line)


@main.group()
def fit() -> None:
    """Parameters from the user's own measurements."""


@fit.command("radio")
@click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    required=True,
    metavar="CSV",
    help="Columns cell, x and y (or lon and lat), rsrp_dbm.",
)
@click.option("--sites", type=click.Path(path_type=Path), required=True, metavar="CSV", help="Cell inventory.")
@click.option("--terrain", type=click.Path(path_type=Path), help="Ground and building height, GeoTIFF or table.")
@click.option("--buildings", type=click.Path(path_type=Path), help="Building height, GeoTIFF, beside --terrain.")
@click.option("--map", "city", metavar="MAP", help="Scenario, city folder, saved city or OpenStreetMap extract.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws what is held out.")
@click.option("--force", is_flag=True, help="Replace an earlier fit.")
@json_option
def fit_radio(
    measurements: Path,
    sites: Path,
    terrain: Path | None,
    buildings: Path | None,
    city: str | None,
    out: Path,
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """Fit propagation to measured levels, and say how good it is on cells and places held out."""
    from mndt.fits import fit_files

    show(
        lambda: fit_files(
            measurements,
            sites,
            terrain=terrain,
            buildings=buildings,
            city=city,
            out=out,
            seed=seed,
            force=force,
            say=say,
        ),
        as_json,
    )


@fit.command("schedule")
@click.option("--diary", type=click.Path(path_type=Path), help="Travel diary, CSV: a line for each trip.")
@click.option("--places", type=click.Path(path_type=Path), help="Positions of the diary's places, CSV.")
@click.option("--od", type=click.Path(path_type=Path), help="Matrix of trips, CSV: from_zone, to_zone, trips.")
@click.option("--zones", type=click.Path(path_type=Path), help="Centres of the matrix's zones, CSV.")
@click.option("--city", "--scenario", "city", metavar="SCENARIO", help="Scenario whose city the matrix is tried on.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.json")
@click.option("--force", is_flag=True, help="Replace an earlier fit.")
@json_option
def fit_schedule(
    diary: Path | None,
    places: Path | None,
    od: Path | None,
    zones: Path | None,
    city: str | None,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Fit the rules of daily schedules to a travel diary, a matrix of trips, or both."""
    from mndt.schedules import fit_schedule as fit_files

    show(
        lambda: fit_files(diary=diary, places=places, od=od, zones=zones, city=city, out=out, force=force, say=say),
        as_json,
    )


@fit.command("demand")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="demand.npz", show_default=True, metavar="NPZ")
@click.option("--column", "columns", multiple=True, metavar="OURS=NAME", help="The table's name of one of our columns.")
@click.option("--slot-minutes", type=click.FloatRange(0, min_open=True), help="Times are numbers of slots this long.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws within the fit.")
@click.option("--force", is_flag=True, help="Replace an earlier file.")
@json_option
def fit_demand(
    file: Path, out: Path, columns: tuple[str, ...], slot_minutes: float | None, seed: int, force: bool, as_json: bool
) -> None:
    """Fit demand to counted traffic: CSV or Parquet with columns place, time, traffic, and users, group where known.

    A scenario uses the file by the key demand.fitted.
    """
    from mndt.demand_fits import fit_demand as fit_file
    from mndt.errors import InputError

    named = dict(pair.partition("=")[::2] for pair in columns)
    if not all(named.values()):
        raise InputError("--column", columns[-1], allowed="OURS=NAME, e.g. traffic=bytes", fix="write it so")
    show(
        lambda: fit_file(file, out=out, columns=named, slot_minutes=slot_minutes, seed=seed, force=force, say=say),
        as_json,
    )


@main.group()
def export() -> None:
    """Hand a run on in formats other tools read."""


@export.command("pm-xml")
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="New folder for the files.")
@click.option("--period", "period_s", type=click.IntRange(1), default=900, show_default=True, metavar="SECONDS")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
def export_pm_xml(folder: Path, out: Path, period_s: int, force: bool) -> None:
    """3GPP performance measurement files (TS 32.435), one for each granularity period."""
    from mndt import exports

    for line in exports.pm_xml(folder, out, period_s=period_s, force=force):
        click.echo(line)


@export.command("geotiff")
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.tif")
def export_geotiff(folder: Path, out: Path) -> None:
    """Received power, best server and SINR of the network as built, for a GIS."""
    from mndt.maps.draw import export_geotiff as write

    for line in write(folder, out, say=say):
        click.echo(line)


@export.command("kml")
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.kmz")
def export_kml(folder: Path, out: Path) -> None:
    """Cells and received power of the network as built, for Google Earth."""
    from mndt.maps.draw import export_kml as write

    for line in write(folder, out, say=say):
        click.echo(line)


@main.group()
def train() -> None:
    """Weights from the user's own data."""


@train.command("schedule")
@click.option(
    "--diary", type=click.Path(path_type=Path), required=True, help="Travel diary, CSV: a line for each trip."
)
@click.option("--places", type=click.Path(path_type=Path), help="Positions of the diary's places, CSV.")
@click.option("--out", type=click.Path(path_type=Path), default="schedule.npz", show_default=True, metavar="FILE.npz")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=240.0, show_default=True, help="Most processor time.")
@click.option("--force", is_flag=True, help="Replace earlier weights.")
@json_option
def train_schedule(
    diary: Path, places: Path | None, out: Path, seed: int, seconds: float, force: bool, as_json: bool
) -> None:
    """Train a point process of daily schedules on a travel diary."""
    from mndt.schedules import train_schedule as train_files

    show(lambda: train_files(diary, places=places, out=out, seed=seed, seconds=seconds, force=force, say=say), as_json)


@train.command("allocation")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    default=["table2"],
    show_default=True,
    help="Of Table II; may be repeated.",
)
@click.option(
    "--stage", type=click.Choice(["forecast", "demand", "edges", "power"]), default="forecast", show_default=True,
    help="Who will end short (method learned), or a stage of the paper's chain; edges and power for one scenario.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["p3o", "ppo-lagrangian"]), default="p3o", show_default=True, help="Of stage demand.",
)  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0.01), default=20.0, show_default=True, help="Budget of this call.")
@click.option("--rounds", type=click.IntRange(1), help="An exact number of rounds instead: equal bytes everywhere.")
@click.option("--out", type=click.Path(path_type=Path), default="allocation", show_default=True, metavar="DIR")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--users", type=click.IntRange(1), help="Other than the scenario's.")
@click.option("--cells", type=click.IntRange(1), help="Other than the scenario's.")
@click.option("--resume", is_flag=True, help="Go on with what DIR holds.")
@json_option
def train_allocation(
    scenarios: tuple[str, ...], stage: Any, method: Any, minutes: float, rounds: int | None, out: Path, seed: int,
    users: int | None, cells: int | None, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train what the methods of allocation have learned."""
    from mndt.experiments.train_allocation import train, train_stage
    from mndt.experiments.train_demand import train_demand

    if stage in ("edges", "power"):
        show(lambda: train_stage(stage, scenarios[0], out=out, minutes=minutes, seed=seed, resume=resume), as_json)
        return
    course = partial(train_demand, algorithm=method) if stage == "demand" else train
    show(
        lambda: course(
            scenarios, out=out, minutes=minutes, rounds=rounds, seed=seed, resume=resume, n_users=users, n_cells=cells,
            say=say,
        ),
        as_json,
    )  # fmt: skip


@train.command("crowd")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FILE",
    help="Recorded tracks: a table (CSV, Parquet) of time, id, x, y in s and m, or scenes (npz).",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default="crowd.npz", show_default=True, metavar="FILE.npz")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--updates", type=click.IntRange(1), help="Steps of gradient descent.  [default: as validated]")
@click.option("--force", is_flag=True, help="Replace earlier weights.")
@json_option
def train_crowd(data: Path, out: Path, seed: int, updates: int | None, force: bool, as_json: bool) -> None:
    """Train the learned correction of indoor crowds on recorded tracks."""
    from mndt.checks.train_crowd import train

    show(lambda: train(data, out, seed=seed, updates=updates, force=force), as_json)
