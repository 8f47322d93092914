"""Verbs that measure: speed, truth, the paper's tables."""

from __future__ import annotations

from pathlib import Path

import click

from mndt.cli.app import json_option, main, say, show


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
    measured = show(
        lambda: bench_step.run(users=users, cells=cells, threads=threads, moving=moving, quick=quick), as_json
    )
    if plot is not None:
        from mndt.pictures.scaling import save_scaling

        say(f"plot: {save_scaling(measured.figures, plot)}")


def _refuse_plot(plot: Path, no_sizes: bool) -> None:
    """Minutes of measurement shall not end with an error that could be told before."""
    from mndt.errors import InputError

    if no_sizes:
        raise InputError("--plot", plot, allowed="only where sizes are compared", fix="leave out --quick and --moving")
    if plot.suffix != ".png" or not plot.parent.is_dir():
        raise InputError("--plot", plot, allowed="a file .png in a folder that exists", fix="change the name")


@bench.command("users")
@click.option("--seconds", type=click.IntRange(10, 3600), default=600, show_default=True, help="Of the busy hour.")
@click.option("--quick", is_flag=True, help="A tenth of it, within a minute.")
@json_option
def bench_users(seconds: int, quick: bool, as_json: bool) -> None:
    """People on the move and what they ask for, without the network."""
    from mndt.checks import bench_users

    show(lambda: bench_users.run(seconds=seconds, quick=quick), as_json)


@bench.command("vehicles")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Reference data; otherwise MNDT_DATA.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Sets of routes a load.")
@click.option("--quick", is_flag=True, help="Fewer and smaller cases.")
@json_option
def bench_vehicles(data: Path | None, seeds: int, quick: bool, as_json: bool) -> None:
    """Vehicles beside SUMO's: speed, mean speeds on a grid of lights, an hour of Bologna."""
    from mndt.checks import bench_vehicles

    show(lambda: bench_vehicles.run(data=data, seeds=seeds, quick=quick), as_json)


@bench.command("assignment")
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def bench_assignment(quick: bool, as_json: bool) -> None:
    """Exact assignment of users to cells with limited places, beside OR-tools."""
    from mndt.checks import bench_assignment

    show(lambda: bench_assignment.run(quick=quick), as_json)


@bench.command("allocation")
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Pictures of quality and growth."
)
@json_option
def bench_allocation(quick: bool, out: Path | None, as_json: bool) -> None:
    """A step of allocation: time, quality for it, and growth with users and cells."""
    from mndt.checks import bench_allocation

    show(lambda: bench_allocation.run(quick=quick, out=out), as_json)


@bench.command("sleep")
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def bench_sleep(quick: bool, as_json: bool) -> None:
    """A decision on the sleep of 100,000 cells, by method, and the oracle of a week."""
    from mndt.checks import bench_sleep

    show(lambda: bench_sleep.run(quick=quick), as_json)


@bench.command("env")
@click.option("--quick", is_flag=True, help="Shorter, within a minute.")
@json_option
def bench_env(quick: bool, as_json: bool) -> None:
    """Steps per second of the Gymnasium environment, beside mobile-env."""
    from mndt.checks import bench_env

    show(lambda: bench_env.run(quick=quick), as_json)


@bench.command("raymap")
@click.option("--rays", type=click.FloatRange(0.01, 30), default=3.0, show_default=True, help="Millions a station.")
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def bench_raymap(rays: float, quick: bool, as_json: bool) -> None:
    """Gain maps of a whole city: seconds, megabytes and errors, beside Sionna RT's own radio map."""
    from mndt.checks import bench_raymap

    show(lambda: bench_raymap.run(rays_million=rays, quick=quick), as_json)


@bench.command("mirror")
@click.option("--seconds", type=click.IntRange(10, 86_400), default=3600, show_default=True, help="Of the network.")
@click.option("--quick", is_flag=True, help="A minute and a half of them.")
@json_option
def bench_mirror(seconds: int, quick: bool, as_json: bool) -> None:
    """How far the mirror is behind 184 cells that report 20 counters every second."""
    from mndt.twin import bench_mirror

    show(lambda: bench_mirror.run(seconds=seconds, quick=quick), as_json)


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

    show(lambda: validate_determinism.run(minutes=minutes, day=day, users=users), as_json)


@validate.command("tr38901")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Reference data; otherwise MNDT_DATA.")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Drops of 570 users each.  [default: 200]")
@click.option("--quick", is_flag=True, help="Fewer drops.")
@json_option
def validate_tr38901(data: Path | None, seeds: int | None, quick: bool, as_json: bool) -> None:
    """3GPP's large-scale calibration: coupling loss, SINR and SIR beside some twenty companies' curves."""
    from mndt.checks import validate_tr38901

    show(lambda: validate_tr38901.run(data=data, drops=seeds, quick=quick), as_json)


@validate.command("loop")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quick", is_flag=True, help="Fewer trials, within a minute.")
@json_option
def validate_loop(seed: int, quick: bool, as_json: bool) -> None:
    """Networks with known hidden parameters, calibrated, predicted, and watched for drift."""
    from mndt.twin import validate_loop

    show(lambda: validate_loop.run(seed=seed, quick=quick), as_json)


@validate.command("krauss")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Reference data; otherwise MNDT_DATA.")
@json_option
def validate_krauss(data: Path | None, as_json: bool) -> None:
    """Car following without dawdling beside SUMO's trajectories, metre by metre."""
    from mndt.checks import validate_krauss

    show(lambda: validate_krauss.run(data=data), as_json)


@validate.command("fit")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quick", is_flag=True, help="Smaller, within a minute.")
@json_option
def validate_fit(seed: int, quick: bool, as_json: bool) -> None:
    """Fit a made-up operator's measurements and compare with what they hide."""
    from mndt.checks import validate_fit

    show(lambda: validate_fit.run(seed=seed, quick=quick), as_json)


@validate.command("obstructed")
@click.option("--engine", type=click.Choice(["sweep", "fused"]), default="fused", show_default=True)
@click.option("--city", type=click.Path(path_type=Path), metavar="SCENARIO", help="Judge this city instead of ours.")
@click.option("--quick", is_flag=True, help="Fewer stations and rays, within a minute.")
@json_option
def validate_obstructed(engine: str, city: Path | None, quick: bool, as_json: bool) -> None:
    """Loss without line of sight beside TR 38.901's, in cities it was not fitted to."""
    from mndt.checks import validate_obstructed

    show(lambda: validate_obstructed.run(engine=engine, quick=quick, scenario=city), as_json)


@validate.command("fdtd")
@click.option("--quick", is_flag=True, help="A smaller street, within a minute.")
@json_option
def validate_fdtd(quick: bool, as_json: bool) -> None:
    """Maxwell's equations beside closed forms, and the ray tracer beside them in a street."""
    from mndt.checks import validate_fdtd

    show(lambda: validate_fdtd.run(quick=quick), as_json)


@validate.command("demand")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Reference data; otherwise MNDT_DATA.")
@click.option("--splits", type=click.IntRange(1), metavar="N", help="How often places are split anew.  [default: 10]")
@click.option("--quick", is_flag=True, help="One split, within a minute.")
@json_option
def validate_demand(data: Path | None, splits: int | None, quick: bool, as_json: bool) -> None:
    """Generated traffic of places never seen, beside real places and five other generators."""
    from mndt.checks import validate_demand

    show(lambda: validate_demand.run(data=data, splits=splits, quick=quick), as_json)


@validate.command("schedule")
@click.option("--diary", type=click.Path(path_type=Path), help="Travel diary, CSV; a made-up one without.")
@click.option("--places", type=click.Path(path_type=Path), help="Positions of the diary's places, CSV.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quick", is_flag=True, help="A shorter training, within a minute.")
@json_option
def validate_schedule(diary: Path | None, places: Path | None, seed: int, quick: bool, as_json: bool) -> None:
    """Learned and rule-based schedules beside people neither was fitted to."""
    from mndt.checks import validate_schedule

    show(lambda: validate_schedule.run(diary=diary, places=places, seed=seed, quick=quick, say=say), as_json)


@validate.command("crowd")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE|DIR",
    help="Recorded tracks (npz, CSV, Parquet), or the folder of the reference data; otherwise MNDT_DATA.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Training seeds.  [default: 5]")
@click.option("--quick", is_flag=True, help="One block, one seed, few updates: whether it works, not how well.")
@json_option
def validate_crowd(data: Path | None, seeds: int | None, quick: bool, as_json: bool) -> None:
    """Crowd models on recorded walks they were not fitted to (about an hour; progress is shown)."""
    from mndt.checks import validate_crowd

    show(lambda: validate_crowd.run(data=data, seeds=seeds, quick=quick), as_json)


@main.group()
def reproduce() -> None:
    """Rebuild the paper's tables."""


@reproduce.command("table1")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def reproduce_table1(seed: int, as_json: bool) -> None:
    """Table I: the nine settings, paper beside ours."""
    from mndt.experiments import table1

    show(lambda: table1.run(seed=seed), as_json)


@reproduce.command("table2")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Test seeds.  [default: 10]")
@click.option("--quick", is_flag=True, help="Smaller and fewer, within a minute.")
@click.option("--train", is_flag=True, help="Train our network anew for every seed.")
@click.option("--elsewhere", is_flag=True, help="On another map, with other numbers of users, without a cell.")
@click.option(
    "--scenario", "scenarios", multiple=True, metavar="NAME",
    help="table2, table2-umi, table2-city or table2-45; may be repeated.  [default: all]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="table2", show_default=True, metavar="DIR",
    help="Finished episodes, which are not played again, and the picture.",
)  # fmt: skip
@json_option
def reproduce_table2(
    seeds: int | None, quick: bool, train: bool, elsewhere: bool, scenarios: tuple[str, ...], out: Path, as_json: bool
) -> None:
    """Table II: throughput and satisfied demand of every method, in four scenarios."""
    from mndt.experiments import table2, table2_elsewhere

    if elsewhere:
        if quick or train:
            from mndt.errors import InputError

            raise InputError("--elsewhere", "with --quick or --train", allowed="alone", fix="leave them out")
        show(lambda: table2_elsewhere.run(seeds=seeds, scenarios=scenarios, out=out, say=say), as_json)
        return
    show(lambda: table2.run(seeds=seeds, quick=quick, train=train, scenarios=scenarios, out=out, say=say), as_json)


@reproduce.command("fig4")
@click.option(
    "--setting", "settings", multiple=True, type=click.Choice(["a", "b", "c"]),
    help="a: demand of the slot known; b: only the past; c: the past, cells asleep can wake.  [default: all]",
)  # fmt: skip
@click.option(
    "--traffic", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Counted traffic: table of place, time, traffic, or .npz.  [default: made up]",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Scenarios.  [default: 3]")
@click.option("--quick", is_flag=True, help="Smaller and fewer, within a minute.")
@click.option("--margin", type=float, default=1.5, show_default=True, help="Capacity of a grid by its peak.")
@click.option("--switching", type=float, default=1.0, show_default=True, help="Scale of switching costs.")
@click.option("--share", type=float, default=0.3, show_default=True, help="Of stations with cells in two grids.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="fig4", show_default=True, metavar="DIR",
    help="Where the picture goes.",
)  # fmt: skip
@json_option
def reproduce_fig4(
    settings: tuple[str, ...], traffic: Path | None, seeds: int | None, quick: bool, margin: float, switching: float,
    share: float, out: Path, as_json: bool,
) -> None:  # fmt: skip
    """Fig. 4: a week of cell sleep, energy and unserved traffic of every method."""
    from mndt.experiments import fig4

    show(
        lambda: fig4.run(
            settings=settings or ("a", "b", "c"), traffic=traffic, seeds=seeds, quick=quick, margin=margin,
            switching=switching, share=share, out=out, say=say,
        ),
        as_json,
    )  # fmt: skip
