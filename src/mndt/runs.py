"""One run: build the twin, step it, leave a folder that can be read, resumed and compared.

>>> from mndt import runs
>>> run = runs.run("helsinki", minutes=10, policy="proportional-fair")  # doctest: +SKIP
>>> run.summary["X.ThroughputDl"]  # doctest: +SKIP
"""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mndt import checkpoint, runfolder
from mndt.comparison import Difference, compare
from mndt.errors import InputError, unknown_name
from mndt.parallel import bar
from mndt.runfolder import STEPS_PER_PART, Part, Run, read
from mndt.streams import Streams
from mndt.users.census import Census
from mndt.users.journeys import Journeys
from mndt.users.street import choose_street

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.optimise.policy import Policy
    from mndt.scenario import Scenario
    from mndt.state import NetworkState
    from mndt.world import World

__all__ = ["Difference", "Interrupted", "Run", "build", "compare", "read", "resume", "run", "summarise"]

Say = Callable[[str], None]
_log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """The run was stopped by the user; what was finished is in `folder` and can be resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"stopped; go on with: mndt run --resume {folder}")
        self.folder = folder


def run(
    scenario: Scenario | City | str | Path,
    *,
    policy: str | Policy | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
    say: Say | None = None,
    world: World | None = None,
    cache_dir: Path | None = None,
    n_jobs: int | None = None,
) -> Run:
    """Simulate a scenario and write its run folder.

    Args:
        scenario: a scenario, a city (with every parameter at its default), a TOML file or a preset.
        policy: name of the policy, or a function of your own from state to action, which gives the run its
            name; default the scenario's. A run under a function cannot be resumed.
        minutes: simulated minutes; default the scenario's.
        seed: of movement, demand and fading; default the scenario's.
        out: the run folder; default ``runs/NAME-POLICY-N``.
        force: replace an existing run folder.
        progress: show bars on a terminal.
        say: called with a sentence about what comes and how long it takes.
        world: the twin of this scenario where it was built before, by `build`.
        cache_dir: where gain maps are kept; default the user's cache.
        n_jobs: processes that build maps; default all cores.

    Raises:
        InputError: something does not fit; nothing has been written then.
        Interrupted: Ctrl-C; the folder holds the finished parts.

    Five minutes of the built-in city::

        run = mndt.run("helsinki", policy="proportional-fair", minutes=5)
        print(run.summary["X.OutageRatio"])

    A policy of your own::

        def best_cell(state):
            return mndt.Action(association="strongest", blocks="max-rate", power="equal")

        run = mndt.run("helsinki", policy=best_cell, minutes=5)
    """
    own = None if policy is None or isinstance(policy, str) else policy
    name = policy if isinstance(policy, str) else own and name_of(own)
    scenario, city = _settle(scenario, policy=name, minutes=minutes, seed=seed, named=own is None)
    for hint in hints(scenario):
        _log.warning("%s", hint)
    target = Path(out) if out is not None else None
    if target is not None:
        runfolder.refuse_existing(target, force)
    began = time.perf_counter()
    if world is None:
        world = build(scenario, city=city, say=say, cache_dir=cache_dir, n_jobs=n_jobs)
    built = time.perf_counter() - began
    target = target or _free_name(scenario)
    state = _start(world, scenario)
    with runfolder.fresh_folder(target, replace_existing=force) as folder:
        _write_head(folder, scenario, world)
    return _simulate(target, scenario, world, state, built_s=built, progress=progress, say=say, own=own)


def resume(
    folder: str | Path,
    *,
    progress: bool = True,
    say: Say | None = None,
    cache_dir: Path | None = None,
    n_jobs: int | None = None,
) -> Run:
    """Go on with an interrupted run; it ends with the bytes it would have had without the pause.

    A finished run is returned as it is.

    Raises:
        InputError: no run folder, one that another version wrote, or one of a policy that is not in the registry.
        Interrupted: Ctrl-C, again.

    After a power cut::

        run = mndt.resume("runs/helsinki-fundamentals-1")
    """
    paused = read(folder)
    if paused.finished:
        return paused
    from mndt.optimise.policy import POLICIES

    scenario = paused.scenario
    _refuse_other_versions(paused)
    if scenario.run.policy not in POLICIES:
        raise InputError(
            "policy", f"'{scenario.run.policy}', a function of the program that made the run",
            allowed=f"one of those known by name: {', '.join(sorted(POLICIES))}",
            fix="make the run again with mndt.run and that function", where=str(paused.folder),
        )  # fmt: skip
    began = time.perf_counter()
    world = build(scenario, city=paused.city, say=say, cache_dir=cache_dir, n_jobs=n_jobs)
    built = time.perf_counter() - began
    state = _start(world, scenario)
    outage, journeys = np.zeros(len(state.users), np.bool_), Journeys.of(state.users)
    saved = paused.folder / "checkpoint.npz"
    if saved.exists():
        (state, outage, journeys), _ = checkpoint.load(saved, (state, outage, journeys))
    return _simulate(
        paused.folder, scenario, world, state, built_s=built, progress=progress, say=say, outage=outage,
        journeys=journeys,
    )  # fmt: skip


def build(
    scenario: Scenario,
    *,
    city: City | None = None,
    say: Say | None = None,
    cache_dir: Path | None = None,
    n_jobs: int | None = None,
) -> World:
    """The world of a scenario: city, population, gain maps, laws. Minutes for a large city the
    first time, seconds once its maps are cached.

    Raises:
        InputError: the map, the inventory or a parameter does not fit.
    """
    from mndt import engine
    from mndt.scenario import open_city
    from mndt.sources import open_mobility

    city = city if city is not None else open_city(scenario.city, scenario.name)
    if say is not None:
        from mndt.forecast import forecast

        say(forecast(scenario, city).sentence)
    return engine.build_world(
        city,
        radio=scenario.radio,
        users=scenario.users,
        demand=scenario.demand,
        network=scenario.network,
        handover=scenario.handover,
        energy=scenario.energy,
        incidents=scenario.incidents,
        days=scenario.run.days,
        mobility=open_mobility(scenario, city, say),
        seed=scenario.city.seed,
        cache_dir=cache_dir,
        n_jobs=n_jobs,
    )


# Steps -----------------------------------------------------------------------------------------


def _simulate(
    folder: Path,
    scenario: Scenario,
    world: World,
    state: NetworkState,
    *,
    built_s: float,
    progress: bool,
    say: Say | None,
    outage: np.ndarray | None = None,
    journeys: Journeys | None = None,
    own: Policy | None = None,
) -> Run:
    from mndt.optimise.policy import make_policy

    began = time.perf_counter()
    policy, streams = own or make_policy(scenario.run.policy, world), Streams(scenario.run.seed)
    first_s, steps = scenario.run.start_s, scenario.run.steps
    done = first = state.time_s - first_s
    runfolder.drop_parts(folder, -(-done // STEPS_PER_PART))
    _set_status(folder, "running")
    recorder = Recorder(folder, world, done, outage, first_s, journeys or Journeys.of(state.users))
    title = f"{scenario.name}, {scenario.run.policy}"
    clock = _Clock(policy)
    try:
        with bar(title, steps - done) if progress else nullcontext(_nothing) as advance:
            for done in range(first, steps):
                state = recorder.step(state, clock.decide(state), streams)
                if (done + 1) % STEPS_PER_PART == 0 or done + 1 == steps:
                    recorder.flush(state)
                advance()
    except KeyboardInterrupt:
        _set_status(folder, "interrupted")
        raise Interrupted(folder) from None
    _add_timing(folder, built_s, time.perf_counter() - began, clock.spent_s, steps - first)
    _set_status(folder, "finished", summary=summarise(read(folder)))
    return read(folder)


class _Clock:
    """Asks the policy and measures for how long it thinks, also within the second if it says so by `spent_s`."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self._asked_s, self._before_s = policy, 0.0, getattr(policy, "spent_s", 0.0)

    def decide(self, state: NetworkState) -> Any:
        began = time.perf_counter()
        action = self.policy(state)
        self._asked_s += time.perf_counter() - began
        return action

    @property
    def spent_s(self) -> float:
        """Time of action selection so far."""
        return float(self._asked_s + getattr(self.policy, "spent_s", 0.0) - self._before_s)


class Recorder:
    """Steps the engine and keeps what is to be written, part by part."""

    def __init__(
        self, folder: Path, world: World, done: int, outage: np.ndarray | None, first_s: int, journeys: Journeys
    ) -> None:
        self.folder, self.world, self.first_s = folder, world, first_s
        self.number = -(-done // STEPS_PER_PART)
        self.outage = outage
        self.part = Part()
        cluster = getattr(getattr(world, "demand", None), "cluster", None)  # other sources know no clusters
        self.census = Census(journeys, cluster, choose_street(world.city.roads), first_s)

    def step(self, before: NetworkState, action: Any, streams: Streams) -> NetworkState:
        """One second; its measurements and events are kept for the part."""
        from mndt import engine
        from mndt.network.incidents import entries

        after, kpis = engine.step(self.world, before, action, streams)
        was_out = self.outage if self.outage is not None else np.zeros_like(kpis.user_outage)
        scripted = entries(self.world.incidents, kpis.time_s, first_s=self.first_s)
        self.part.add(kpis, runfolder.events(before, after, kpis, was_out, scripted))
        self.census.add(before, after, kpis)
        self.outage = kpis.user_outage
        return after

    def flush(self, state: NetworkState) -> None:
        """Write the part, then the checkpoint that says it is complete."""
        for table, columns in (self.part.tables(state) | self.census.tables()).items():
            runfolder.write_part(self.folder, table, self.number, columns)
        checkpoint.save(self.folder / "checkpoint.npz", (state, self.outage, self.census.journeys))
        self.number, self.part = self.number + 1, Part()


def _nothing() -> None:
    pass


def _start(world: World, scenario: Scenario) -> NetworkState:
    from mndt import engine

    return engine.start(world, time_s=scenario.run.start_s, seed=scenario.run.seed)


def _settle(
    scenario: Scenario | City | str | Path,
    *,
    policy: str | None,
    minutes: float | None,
    seed: int | None,
    named: bool = True,
) -> tuple[Scenario, City | None]:
    """The checked scenario with the run's own wishes in it, and the city where it was given.

    `named` tells whether the policy is known by name.
    """
    from mndt import scenario as scenarios
    from mndt.city.model import City

    city = None
    if isinstance(scenario, City):
        city, scenario = scenario, scenarios.Scenario(name=scenario_name(scenario.name))
    elif not isinstance(scenario, scenarios.Scenario):
        scenario = scenarios.load(scenario)
    wishes = {"policy": policy, "minutes": minutes, "seed": seed}
    raw = scenarios.to_dict(scenario)
    raw["run"] |= {key: value for key, value in wishes.items() if value is not None}
    checked = scenarios.check(raw, where="run")
    if named:
        check_policy(checked.run.policy)
    return checked, city


def check_policy(name: str) -> None:
    """Raise InputError for a policy nobody registered."""
    from mndt.optimise.policy import POLICIES

    if name not in POLICIES:
        raise unknown_name("policy", name, POLICIES)


def name_of(policy: Policy) -> str:
    """The name of a run under a function of the user's own: the function's, and never one of the registry.

    >>> def greedy(state): ...
    >>> name_of(greedy), name_of(lambda state: None)
    ('greedy', 'lambda')

    Raises:
        InputError: it is no function.
    """
    from mndt.optimise.policy import POLICIES

    if not callable(policy):
        allowed = f"one of {', '.join(sorted(POLICIES))}, or a function from state to action"
        raise InputError("policy", repr(policy), allowed=allowed, fix="give a name or a function")
    name = scenario_name(getattr(policy, "__name__", type(policy).__name__))
    return f"own-{name}" if name in POLICIES else name


def hints(scenario: Scenario) -> list[str]:
    """What a scenario sets to no effect, a sentence each."""
    from mndt.network.handover_parameters import HandoverParameters
    from mndt.network.incident_parameters import never_seen
    from mndt.optimise.policy import WITHOUT_A3

    run, usual = scenario.run, HandoverParameters()
    turned = [f.name for f in fields(usual) if getattr(scenario.handover, f.name) != getattr(usual, f.name)]
    found = [never_seen(scenario.incidents, run.start_s, run.start_s + run.steps)]
    if turned and run.policy in WITHOUT_A3:
        keys = ", ".join(f"handover.{name}" for name in turned)
        found.append(f"{keys} without effect: the policy {run.policy} hands nobody over by event A3")
    return [sentence for sentence in found if sentence]


def check(scenario: Scenario, say: Say | None = None) -> City:
    """Everything about a scenario that can be wrong before the first second: policy, city, carriers, incidents,
    the source of positions; `say` gets what was found in a recording.

    Returns:
        Its city; `City.repairs` says what was put right.

    Raises:
        InputError: the first thing that does not fit.
    """
    from mndt.network.incidents import prepare
    from mndt.radio.validity import check_validity
    from mndt.scenario import open_city
    from mndt.sources import open_mobility

    check_policy(scenario.run.policy)
    city = open_city(scenario.city, scenario.name)
    check_validity(city, scenario.radio)
    prepare(scenario.incidents, city, demand_scale=scenario.demand.scale)
    open_mobility(scenario, city, say)
    return city


def scenario_name(name: str) -> str:
    """A name that scenarios and folders can bear.

    >>> scenario_name("My city, 2026")
    'My-city--2026'
    """
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip("-.")
    return kept[:60] or "city"


def _free_name(scenario: Scenario) -> Path:
    stem = f"{scenario.name}-{scenario.run.policy}"
    number = 1
    while (target := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return target


# The head of the folder ------------------------------------------------------------------------


def _write_head(folder: Path, scenario: Scenario, world: World) -> None:
    """Everything but the tables. The folder repeats its run by itself: it holds its city."""
    from mndt.city.store import save_city
    from mndt.scenario import CitySource, dump

    save_city(world.city, folder / "city.npz")
    own = scenario.model_copy(update={"city": CitySource(source="file", file="city.npz", seed=scenario.city.seed)})
    runfolder.write_text(folder / "scenario.toml", dump(own))
    info = {
        "schema_version": runfolder.SCHEMA_VERSION,
        "status": "running",
        "versions": versions(),
        "name": scenario.name,
        "policy": scenario.run.policy,
        "seed": scenario.run.seed,
        "start": scenario.run.start,
        "steps": scenario.run.steps,
        "city": counts(world) | {"source": scenario.city.source, "seed": scenario.city.seed},
        "attribution": world.city.attribution,
    }
    runfolder.write_json(folder / "run.json", info)


def versions() -> dict[str, str]:
    """Versions of what decides the figures."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in ("mndt", "numpy", "numba")}


def counts(world: World) -> dict[str, float | int | str]:
    """The city in figures: what Table I of the paper lists, and what a map report wants."""
    city = world.city
    buildings = len(city.buildings)
    return {
        "name": city.name,
        "area_km2": round(city.frame.area_km2, 4),
        "lanes": city.roads.n_lanes,
        "areas": len(city.areas),
        "buildings": buildings,
        "known_heights": int(city.buildings.height_known.sum()),
        "outdoor_stations": int((~city.sites.indoor).sum()),
        "indoor_stations": int(city.sites.indoor.sum()),
        "cells": len(city.cells),
        "users": world.mobility.n_users,
    }


def _set_status(folder: Path, status: str, **more: Any) -> None:
    info = read(folder).info
    runfolder.write_json(folder / "run.json", info | {"status": status} | more)


def _add_timing(folder: Path, built_s: float, simulated_s: float, policy_s: float, steps: int) -> None:
    """Append this session's wall-clock times; they have a file of their own, for they never repeat.

    `simulation_s` is everything after the world was built, `policy_s` that part of it in which actions were selected.
    """
    import json

    path = folder / "timings.json"
    sessions = json.loads(path.read_text())["sessions"] if path.exists() else []
    times = {"world_s": built_s, "simulation_s": simulated_s, "policy_s": policy_s}
    sessions.append({name: round(value, 3) for name, value in times.items()} | {"steps": steps})
    runfolder.write_json(path, {"sessions": sessions})


def _refuse_other_versions(paused: Run) -> None:
    """The same bytes need the same programs."""
    now = versions()
    for name, version in paused.info["versions"].items():
        if now.get(name) != version:
            raise InputError(
                f"version of {name}",
                now.get(name),
                allowed=f"{version}, which wrote this run",
                fix="resume with it, or start anew from the run's scenario.toml",
                where=str(paused.folder),
            )


# Figures ---------------------------------------------------------------------------------------


def summarise(run: Run) -> dict[str, float | None]:
    """The totals of a run over all its seconds (`mndt.network.kpi.summarise`); None where undefined."""
    from mndt.network import kpi

    return {name: v if math.isfinite(v) else None for name, v in kpi.summarise(run.kpis.fetchnumpy()).items()}
