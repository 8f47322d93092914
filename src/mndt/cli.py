"""The command line: parse, call, print. Whatever a verb needs is imported inside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mndt.checks.output import Result

REPORT_A_FAULT = "this is a fault in mndt; run again with -v and report what it prints as an issue"


class Verbs(click.Group):
    """The command group: turns the twin's errors into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. Exit codes: 2 the user's input, 130 stopped by the user, 1 a fault of ours."""
        from mndt.errors import MndtError

        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except MndtError as error:
            click.echo(f"mndt: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt as stopped:
            click.echo(f"mndt: {str(stopped) or 'stopped; nothing was left half-written'}", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("verbose"):
                raise
            text = " ".join(str(error).split()) or "no message"
            click.echo(f"mndt: {type(error).__name__}: {text}; {REPORT_A_FAULT}", err=True)
            ctx.exit(1)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb; an unknown one is answered with the nearest."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from mndt.errors import unknown_name

            ctx.fail(str(unknown_name("command", args[0], self.list_commands(ctx))))
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mndt", message="mndt %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of a fault.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars and no hints.")
def main(verbose: bool, quiet: bool) -> None:
    """An open digital twin of a city's mobile network.

    Start with `mndt demo`. Your own city: `mndt import osm`, then `mndt run`.
    """
    import logging

    from mndt import parallel

    parallel.quiet(quiet)
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.ERROR, format="mndt: %(message)s")
    logging.getLogger("mndt").setLevel(level)


def _say(text: str) -> None:
    """A hint: on standard error, so that results can be piped; none with -q."""
    if not click.get_current_context().find_root().params.get("quiet"):
        click.echo(text, err=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")


# The twin --------------------------------------------------------------------------------------


@main.command()
@click.option("--full", is_flag=True, help="Half an hour of simulated time.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("mndt-demo"), show_default=True)
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
def demo(full: bool, out: Path, show: bool) -> None:
    """The whole story on central Helsinki: build, run, compare, report."""
    from mndt.demo import demo as play

    report = play(out, full=full, say=_say, echo=click.echo)
    if show:
        click.launch(str(report))


@main.command()
@click.argument("scenario", required=False)
@click.option("--policy", help="Who configures the network: fundamentals, proportional-fair, service-need.")
@click.option("--minutes", type=float, help="Simulated minutes.")
@click.option("--seed", type=int, help="Draws movement, demand and fading.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder  [default: runs/NAME-POLICY-N]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key, e.g. radio.shadowing=false.")
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with an interrupted run.")
def run(
    scenario: str | None,
    policy: str | None,
    minutes: float | None,
    seed: int | None,
    out: Path | None,
    settings: Sequence[str],
    force: bool,
    resume: Path | None,
) -> None:
    """Simulate SCENARIO, a TOML file or a preset (helsinki, table1), and write a run folder."""
    from mndt import runs
    from mndt.checks.output import planner_table
    from mndt.errors import InputError

    if resume is not None:
        if scenario or policy or minutes or seed or out or settings or force:
            raise InputError(
                "--resume", "given with other choices", allowed="--resume DIR alone", fix="drop the others"
            )
        finished = runs.resume(resume, say=_say)
    else:
        if scenario is None:
            raise InputError("SCENARIO", "missing", allowed="a TOML file or a preset", fix="try mndt run helsinki")
        from mndt.scenario import load, set_value

        chosen = load(scenario)
        for setting in settings:
            chosen = set_value(chosen, setting)
        finished = runs.run(chosen, policy=policy, minutes=minutes, seed=seed, out=out, force=force, say=_say)
    click.echo(planner_table([finished]))
    click.echo(f"run folder: {finished.folder}")
    _say(f"look at it: mndt report {finished.folder}")


@main.command()
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file  [default: report.html in the first run]")
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Write one self-contained HTML page about runs of the same city."""
    from mndt import runs
    from mndt.report import write_report

    read = [runs.read(folder) for folder in folders]
    click.echo(f"report: {write_report(read, out or folders[0] / 'report.html')}")


@main.command()
@click.argument("first", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("second", metavar="RUN", type=click.Path(path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Totals of two runs over the same seconds, with the 95 % interval of the difference."""
    from mndt import runs
    from mndt.checks.output import aligned, number
    from mndt.comparison import admission_note

    a, b = runs.read(first), runs.read(second)
    rows = [["", a.folder.name, b.folder.name, "difference", "95 % interval"]]
    for d in runs.compare(a, b):
        interval = f"{number(d.low)} to {number(d.high)}" if d.low == d.low else "too short"
        rows.append(
            [f"{d.name} [{d.unit}]" if d.unit else d.name, number(d.a), number(d.b), number(d.difference), interval]
        )
    click.echo(aligned(rows))
    if note := admission_note(a, b):
        _say(f"note: {note}")


@main.command("map")
@click.argument("source", metavar="SCENARIO|PRESET|RUN")
@click.option("--layer", default="rsrp", show_default=True, help="gain, loss, los, rsrp, best-server or sinr.")
@click.option("--site", metavar="NAME", help="Only this station.")
@click.option("--cell", metavar="NAME", help="Only this cell.")
@click.option("--after", multiple=True, metavar="FIELD=VALUE", help="Show a change, e.g. mechanical_tilt_deg=8.")
@click.option("--before", multiple=True, metavar="FIELD=VALUE", help="What it is compared with  [default: as built]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A key, or cells.NAME.FIELD=VALUE, throughout.")
@click.option("--outdoors", is_flag=True, help="Leave buildings out.")
@click.option("--load", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Of other cells, for a SINR.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="PNG, TIF, KML or KMZ  [default: map-*.png]"
)
def map_(
    source: str,
    layer: str,
    site: str | None,
    cell: str | None,
    before: Sequence[str],
    after: Sequence[str],
    sets: Sequence[str],
    outdoors: bool,
    load: float,
    out: Path | None,
) -> None:
    """Draw what the network covers, from where, and what turning an antenna changes.

    A difference, better in blue and worse in red:

    \b
      mndt map helsinki --cell S001-1 --layer gain --after mechanical_tilt_deg=8
    """
    from mndt.maps.draw import draw_map

    name = "-".join(filter(None, ("map", layer, site or cell, "change" if before or after else "")))
    out = out or Path(name.replace("/", "_") + ".png")
    for line in draw_map(
        source, layer, out, site=site, cell=cell, sets=sets, before=before, after=after,
        outdoors=outdoors, load=load, say=_say,
    ):  # fmt: skip
        click.echo(line)


# Scenarios and cities --------------------------------------------------------------------------


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
    for repair in check(checked).repairs:
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

    for line in read(file, bbox=bbox, sites=sites, out=out, seed=seed, force=force, say=_say):
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

    _show(
        lambda: fit_files(
            measurements,
            sites,
            terrain=terrain,
            buildings=buildings,
            city=city,
            out=out,
            seed=seed,
            force=force,
            say=_say,
        ),
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

    for line in write(folder, out, say=_say):
        click.echo(line)


@export.command("kml")
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.kmz")
def export_kml(folder: Path, out: Path) -> None:
    """Cells and received power of the network as built, for Google Earth."""
    from mndt.maps.draw import export_kml as write

    for line in write(folder, out, say=_say):
        click.echo(line)


# Care ------------------------------------------------------------------------------------------


@main.group()
def cache() -> None:
    """The gain maps kept on disk."""


@cache.command("list")
def cache_list() -> None:
    """What is kept, newest first."""
    from mndt.radio.cache import cache_directory, list_cache

    entries = list_cache()
    for entry in entries:
        click.echo(f"{entry.created}  {entry.bytes / 1e6:8.1f} MB  {entry.what}")
    click.echo(f"{cache_directory()}: {len(entries)} maps, {sum(e.bytes for e in entries) / 1e6:.1f} MB")


@cache.command("clear")
def cache_clear() -> None:
    """Delete them all; they are built again when needed."""
    from mndt.radio.cache import clear_cache

    click.echo(f"{clear_cache() / 1e6:.1f} MB freed")


@main.command()
def doctor() -> None:
    """Is everything in place? Versions, memory, extras, cache, broker."""
    from mndt.doctor import look

    for line in look():
        click.echo(f"{line.what:<20} {line.found}" + (f"  -> {line.fix}" if line.fix else ""))


# Figures ---------------------------------------------------------------------------------------


@main.group()
def bench() -> None:
    """Measure speed, beside peers where they are installed."""


@bench.command("step")
@click.option("--users", type=click.IntRange(1), default=13_000, show_default=True)
@click.option("--cells", type=click.IntRange(1), default=184, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--moving",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the users that moves; below 1 what did not change is kept.",
)
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="PNG", help="Draw how a second grows with the size.")
@json_option
def bench_step(
    users: int, cells: int, threads: int, moving: float, quick: bool, plot: Path | None, as_json: bool
) -> None:
    """The radio part of a second, and the whole second, beside CRRM."""
    from mndt.checks import bench_step

    if plot is not None:
        _refuse_plot(plot, quick or moving < 1.0)
    measured = _show(
        lambda: bench_step.run(users=users, cells=cells, threads=threads, moving=moving, quick=quick), as_json
    )
    if plot is not None:
        from mndt.pictures.scaling import save_scaling

        _say(f"plot: {save_scaling(measured.figures, plot)}")


def _refuse_plot(plot: Path, no_sizes: bool) -> None:
    """Minutes of measurement shall not end with an error that could be told before."""
    from mndt.errors import InputError

    if no_sizes:
        raise InputError("--plot", plot, allowed="only where sizes are compared", fix="leave out --quick and --moving")
    if plot.suffix != ".png" or not plot.parent.is_dir():
        raise InputError("--plot", plot, allowed="a file .png in a folder that exists", fix="change the name")


@bench.command("assignment")
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def bench_assignment(quick: bool, as_json: bool) -> None:
    """Exact assignment of users to cells with limited places, beside OR-tools."""
    from mndt.checks import bench_assignment

    _show(lambda: bench_assignment.run(quick=quick), as_json)


@bench.command("env")
@click.option("--quick", is_flag=True, help="Shorter, within a minute.")
@json_option
def bench_env(quick: bool, as_json: bool) -> None:
    """Steps per second of the Gymnasium environment, beside mobile-env."""
    from mndt.checks import bench_env

    _show(lambda: bench_env.run(quick=quick), as_json)


@main.group()
def validate() -> None:
    """Check what the twin promises."""


@validate.command("determinism")
@click.option("--minutes", type=click.FloatRange(0, 1440, min_open=True), default=60.0, show_default=True)
@click.option("--day", is_flag=True, help="A whole day, from midnight to midnight.")
@click.option("--users", type=click.IntRange(2000), default=2500, show_default=True)
@json_option
def validate_determinism(minutes: float, day: bool, users: int, as_json: bool) -> None:
    """Same seed, same bytes: two simulations, on one thread and on two, compared second by second."""
    from mndt.checks import validate_determinism

    _show(lambda: validate_determinism.run(minutes=minutes, day=day, users=users), as_json)


@validate.command("tr38901")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Reference data; otherwise MNDT_DATA.")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Drops of 570 users each.  [default: 200]")
@click.option("--quick", is_flag=True, help="Fewer drops.")
@json_option
def validate_tr38901(data: Path | None, seeds: int | None, quick: bool, as_json: bool) -> None:
    """3GPP's large-scale calibration: coupling loss, SINR and SIR beside some twenty companies' curves."""
    from mndt.checks import validate_tr38901

    _show(lambda: validate_tr38901.run(data=data, drops=seeds, quick=quick), as_json)


@validate.command("fit")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def validate_fit(seed: int, quick: bool, as_json: bool) -> None:
    """Fit a made-up operator's measurements and compare with what they hide."""
    from mndt.checks import validate_fit

    _show(lambda: validate_fit.run(seed=seed, quick=quick), as_json)


@validate.command("fdtd")
@click.option("--quick", is_flag=True, help="A smaller street, within a minute.")
@json_option
def validate_fdtd(quick: bool, as_json: bool) -> None:
    """Maxwell's equations beside closed forms, and the ray tracer beside them in a street."""
    from mndt.checks import validate_fdtd

    _show(lambda: validate_fdtd.run(quick=quick), as_json)


@main.group()
def reproduce() -> None:
    """Rebuild the paper's tables."""


@reproduce.command("table1")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def reproduce_table1(seed: int, as_json: bool) -> None:
    """Table I: the nine settings, paper beside ours."""
    from mndt.experiments import table1

    _show(lambda: table1.run(seed=seed), as_json)


def _show(measure: Callable[[], Result], as_json: bool) -> Result:
    from mndt.checks.output import timed

    result = timed(measure)
    click.echo(result.text())
    if as_json:
        click.echo(result.json())
    return result


if __name__ == "__main__":
    sys.exit(main())
