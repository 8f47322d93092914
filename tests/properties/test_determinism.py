"""Same seed, same bytes: on one thread, on two, and again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from little_town import NINE, Town

from mndt import engine, parallel
from mndt.checkpoint import digest
from mndt.checks import validate_determinism
from mndt.checks.validate_determinism import DECISIONS, Task, Trace, compared, script
from mndt.cli import main
from mndt.errors import InputError
from mndt.network import _admission, _handover, _power, _scheduling, power, scheduling
from mndt.network.association import ASSOCIATION
from mndt.network.incident_parameters import check_incident
from mndt.network.power import POWER
from mndt.network.scheduling import BLOCKS
from mndt.optimise.policy import POLICIES, make_policy
from mndt.radio import _kernels, _mcs
from mndt.state import Action
from mndt.streams import Streams

START_S = NINE + 105
"""The cell is down; at 09:02 power cut and surge begin, half a minute later the batteries are empty."""

Chosen = Callable[[Any], Action]


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads share the work of every kernel, however little it is. Threads are as before afterwards."""
    before = parallel._KERNELS.threads
    assert parallel.by_rows.__kwdefaults__ is not None
    monkeypatch.setitem(parallel.by_rows.__kwdefaults__, "least", 1)
    for module in (scheduling, power):
        monkeypatch.setattr(module, "CELLS", 1)
    yield
    parallel.set_threads(before)


def digests(town: Town, threads: int, policy: Chosen, seconds: int, seed: int = 5) -> list[str]:
    """The checksum of state, KPIs and events of every second."""
    parallel.set_threads(threads)
    state, streams, found = engine.start(town.world, time_s=START_S, seed=seed), Streams(seed), []
    for _ in range(seconds):
        state, kpis = engine.step(town.world, state, policy(state), streams)
        found.append(digest((state, kpis)))
    return found


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_is_the_same_on_two_threads(town: Town, split: None, name: str) -> None:
    one, two = (digests(town, threads, make_policy(name, town.world), 90) for threads in (1, 2))
    assert one == two
    assert len(set(one)) == 90


@pytest.mark.parametrize("number", [2, 3, 4])
def test_every_other_rule_is_the_same_on_two_threads(town: Town, split: None, number: int) -> None:
    one, two = (digests(town, threads, lambda state: DECISIONS[number], 45) for threads in (1, 2))
    assert one == two


def test_another_seed_gives_other_bytes(town: Town, split: None) -> None:
    one, two = (digests(town, 1, lambda state: Action(), 3, seed) for seed in (5, 6))
    assert not set(one) & set(two)


def test_the_decisions_use_every_rule() -> None:
    for rule, known, own in (
        ("association", ASSOCIATION, engine.OWN_ASSOCIATION),
        ("blocks", BLOCKS, engine.OWN_BLOCKS),
        ("power", POWER, engine.OWN_POWER),
    ):
        assert {getattr(decision, rule) or own for decision in DECISIONS} == set(known)


def otherwise(values: np.ndarray) -> np.ndarray:
    """More of what is a quantity, nobody where there are rows of users or cells."""
    return values * values.dtype.type(1.01) if values.dtype.kind == "f" else np.full_like(values, -1)


OWN, A3, TURNS, _, NEED = range(5)
"""Rows of DECISIONS."""

MUTANTS = [
    (_kernels, "look_up", "out_level", OWN),
    (_kernels, "report", "out_cell", A3),
    (_kernels, "received", "out_others_w", A3),
    (_kernels, "own_fading", "out", A3),
    (_kernels, "block_sinr", "out_sinr", OWN),
    (_mcs, "rates_of_cells", "out", OWN),
    (_handover, "hand_over", "out_sinr", A3),
    (_admission, "nearest_cells", "out_cell", OWN),
    (_scheduling, "random_blocks", "out", OWN),
    (_scheduling, "best_blocks", "out", A3),
    (_scheduling, "rotating_blocks", "out", TURNS),
    (_scheduling, "needed_blocks", "out", NEED),
    (_power, "fair", "out", OWN),
    (_power, "needed", "out", NEED),
]


@pytest.fixture(scope="module")
def on_one_thread(town: Town) -> Callable[[int], list[str]]:
    """Ten seconds of a decision as they should be."""
    return cache(lambda number: digests(town, 1, lambda state: DECISIONS[number], 10))


@pytest.mark.parametrize(("module", "name", "written", "number"), MUTANTS, ids=[m[1] for m in MUTANTS])
def test_a_kernel_that_depends_on_the_split_is_found(
    town: Town, split: None, on_one_thread: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch,
    module: Any, name: str, written: str, number: int,
) -> None:  # fmt: skip
    """Proof that the tests above can fail: the rows of every share after the first come out otherwise."""
    kernel = getattr(module, name)
    at = list(signature(kernel.py_func).parameters).index(written)

    def mutant(*arguments: Any) -> None:
        kernel(*arguments)
        low, high = arguments[:2]
        if low > 0:
            start, place = arguments[3:5]
            own = place[start[low] : start[high]] if name == "block_sinr" else slice(low, high)
            arguments[at][own] = otherwise(arguments[at][own])

    expected = on_one_thread(number)
    monkeypatch.setattr(module, name, mutant)
    assert digests(town, 2, lambda state: DECISIONS[number], 10) != expected


def test_the_verb_compares_two_simulations(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a smaller town, one simulation after the other."""
    monkeypatch.setattr(validate_determinism, "town", lambda task: town.world)
    together = parallel.side_by_side
    monkeypatch.setattr(parallel, "side_by_side", lambda *arguments: together(*arguments, n_jobs=1))
    before = parallel._KERNELS.threads
    result = CliRunner().invoke(main, ["validate", "determinism", "--minutes", "0.7", "--json"])
    parallel.set_threads(before)
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["name"] == "determinism"
    assert (found["figures"]["seconds_compared"], found["figures"]["differing_seconds"]) == (42, 0)
    assert len(found["figures"]["digest"]) == 32
    assert found["figures"]["handovers"] > 0


def test_its_town_has_enough_cells_and_users_for_two_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNDT_CACHE", str(tmp_path))
    assert 2 * max(scheduling.CELLS, power.CELLS) <= validate_determinism.OUTDOOR + validate_determinism.INDOOR
    assert 2 * (parallel.by_rows.__kwdefaults__ or {})["least"] <= validate_determinism.LEAST_USERS
    monkeypatch.setattr(validate_determinism, "OUTDOOR", 2)
    monkeypatch.setattr(validate_determinism, "INDOOR", 3)
    world = validate_determinism.town(Task(threads=1, seconds=60, users=30, start_s=0, seed=1))
    assert (len(world.city.cells), world.mobility.n_users, len(world.incidents.plans)) == (5, 30, 4)


def test_differing_seconds_are_counted() -> None:
    figures = compared(Trace(("a", "b", "c", "d"), 0, 0), Trace(("a", "x", "c", "y"), 0, 0)).figures
    assert (figures["seconds_compared"], figures["differing_seconds"], figures["first_differing_second"]) == (4, 2, 1)


@pytest.mark.parametrize("wrong", [{"users": 1999}, {"minutes": 0.0}, {"minutes": 1441.0}])
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="allowed is"):
        validate_determinism.run(**wrong)


@pytest.mark.parametrize(("start_s", "seconds"), [(8 * 3600, 1), (8 * 3600, 86_400), (0, 86_400), (8 * 3600, 3600)])
def test_its_incidents_happen_within_the_simulation(town: Town, start_s: int, seconds: int) -> None:
    for incident in script(town.world.city, start_s, seconds):
        check_incident(incident)
        assert start_s <= incident.begin_s < start_s + seconds


@pytest.mark.slow
def test_an_hour_is_the_same_on_two_threads() -> None:
    figures = validate_determinism.run(minutes=60).figures
    assert (figures["seconds_compared"], figures["differing_seconds"]) == (3600, 0)
