"""Verbs about runs: make them, look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mndt.cli.app import main, say


@main.command()
@click.option("--full", is_flag=True, help="Half an hour of simulated time.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("mndt-demo"), show_default=True)
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
def demo(full: bool, out: Path, show: bool) -> None:
    """The whole story on central Helsinki: build, run, compare, report."""
    from mndt.demo import demo as play

    report = play(out, full=full, say=say, echo=click.echo)
    if show:
        click.launch(str(report))


@main.command()
@click.argument("scenario", required=False)
@click.option("--policy", help="Who configures the network: fundamentals, proportional-fair, service-need, allocation.")
@click.option("--minutes", type=float, help="Simulated minutes.")
@click.option("--hours", type=float, help="Simulated hours, in the place of minutes: 24 for a day.")
@click.option("--seed", type=int, help="Draws movement, demand and fading.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder  [default: runs/NAME-POLICY-N]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key, e.g. radio.shadowing=false.")
@click.option("--draft", is_flag=True, help="A tenth of the rays: radio.rays_million=0.3.")
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with an interrupted run.")
def run(
    scenario: str | None,
    policy: str | None,
    minutes: float | None,
    hours: float | None,
    seed: int | None,
    out: Path | None,
    settings: Sequence[str],
    draft: bool,
    force: bool,
    resume: Path | None,
) -> None:
    """Simulate SCENARIO, a TOML file or a preset (helsinki, table1), and write a run folder."""
    from mndt import runs
    from mndt.checks.output import planner_table
    from mndt.errors import InputError

    if resume is not None:
        if scenario or policy or minutes or hours or seed or out or settings or draft or force:
            raise InputError(
                "--resume", "given with other choices", allowed="--resume DIR alone", fix="drop the others"
            )
        finished = runs.resume(resume, say=say)
    else:
        if hours is not None:
            if minutes is not None:
                raise InputError("--hours", hours, allowed="one of --hours and --minutes", fix="leave one out")
            minutes = 60 * hours
        if scenario is None:
            raise InputError("SCENARIO", "missing", allowed="a TOML file or a preset", fix="try mndt run helsinki")
        from mndt.radio.parameters import DRAFT_MILLION
        from mndt.scenario import load, set_value

        chosen = load(scenario)
        for setting in (*settings, *([f"radio.rays_million={DRAFT_MILLION}"] if draft else [])):
            chosen = set_value(chosen, setting)
        finished = runs.run(chosen, policy=policy, minutes=minutes, seed=seed, out=out, force=force, say=say)
    click.echo(planner_table([finished]))
    click.echo(f"run folder: {finished.folder}")
    say(f"look at it: mndt report {finished.folder}")


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
        say(f"note: {note}")


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
      mndt map helsinki --cell O008-1 --layer gain --after mechanical_tilt_deg=8
    """
    from mndt.maps.draw import draw_map

    name = "-".join(filter(None, ("map", layer, site or cell, "change" if before or after else "")))
    out = out or Path(name.replace("/", "_") + ".png")
    for line in draw_map(
        source, layer, out, site=site, cell=cell, sets=sets, before=before, after=after,
        outdoors=outdoors, load=load, say=say,
    ):  # fmt: skip
        click.echo(line)
