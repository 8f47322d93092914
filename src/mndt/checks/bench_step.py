"""`mndt bench step`: how long one second of the twin takes, beside CRRM in the same run.

Clocks on one synthetic city, everyone moving each second:
radio: look-up of all links, fading, interference per block, SINR, Shannon rate;
formula: the same with CRRM's own loss formula in the place of maps;
ran: the network's whole second, from where the users are to the KPIs, everyone active and handed over by A3;
ran_fair: the same with all blocks given out proportionally fair;
twin: `engine.step`, users and demand included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checks.output import Result, peak_mb
from mndt.parallel import core_count, set_threads

if TYPE_CHECKING:
    from mndt.state import NetworkState
    from mndt.streams import Streams
    from mndt.world import World

Clock = Callable[[], object]

BLOCKS: Final = 184
"""Blocks of a cell, as in the paper's Table II."""

SIZES: Final = {"users": (3250, 6500, 13_000, 26_000, 52_000, 100_000), "cells": (64, 128, 184, 368, 736, 1000)}
"""Sizes at which the growth is measured, one kind at a time; the other stays at 13,000 users or 184 cells."""

COARSE_M: Final = 10.0
"""Map pixels where sizes are compared: a thousand cells at the usual 4 m would take half a gigabyte."""


def run(
    *,
    users: int = 13_000,
    cells: int = 184,
    threads: int = 1,
    moving: float = 1.0,
    seconds: float = 3.0,
    quick: bool = False,
) -> Result:
    """Time the clocks and, where it is installed, CRRM.

    Args:
        users, cells: size of the problem; the city is Table I's, with that many stations.
        threads: threads of the kernels and of the peer's linear algebra.
        moving: share of the users that move in a step; below 1 only the radio part is measured, in
            which what did not change is kept, against CRRM's smart update.
        seconds: least time each clock runs.
        quick: a tenth of the users and cells, half a second each, no comparison of sizes.

    Returns:
        Figures under the keys of the benchmark table, and the peer's.
    """
    if quick:
        users, cells, seconds = max(users // 10, 1), max(cells // 10, 1), 0.5
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    set_threads(threads)
    peer = _crrm(users, cells, seconds, moving)
    scene = Scene.build(users, cells)
    if moving < 1.0:
        clock, move = scene.incremental(moving)
        ratio = {"ratio_incremental_to_crrm": "incremental_steps_per_s"}
        return _result({"incremental_steps_per_s": rate(clock, seconds, move)}, peer, ratio)
    figures = {f"{name}_steps_per_s": rate(clock, seconds, scene.walk) for name, clock in scene.clocks().items()}
    figures["times_real_time"] = figures["twin_steps_per_s"]
    figures |= {name: users * cells * rate(clock, seconds / 3) for name, clock in scene.look_ups().items()}
    figures["peak_mb"] = peak_mb()
    if not quick:
        figures |= growth(seconds / 3)
    if core_count() > 1:
        figures |= _two_threads(scene, seconds, threads)
    ratios = {"ratio_radio_to_crrm": "radio_steps_per_s", "ratio_formula_to_crrm": "formula_steps_per_s"}
    return _result(figures, peer, ratios)


def _result(figures: dict[str, Any], peer: dict[str, Any] | None, ratios: dict[str, str]) -> Result:
    if peer is None:
        note = "CRRM is not installed, so there is no ratio: pip install 'mndt[peers]'"
        return Result("step", figures, seeds=[0], note=note)
    crrm = peer["figures"]["steps_per_s"]
    figures |= {name: figures[ours] / crrm for name, ours in ratios.items()}
    note = "CRRM does less in a step: no blocks, fading, buffers or maps (docs/benchmarks.md)"
    return Result("step", figures, peers=[peer], seeds=[0], note=note)


def rate(clock: Clock, seconds: float, prepare: Clock | None = None) -> float:
    """Median steps per second after two warm-up steps (the first one compiles); `prepare` is not timed."""
    durations: list[float] = []
    while sum(durations[2:]) < seconds or len(durations) < 7:
        if prepare is not None:
            prepare()
        begin = time.perf_counter()
        clock()
        durations.append(time.perf_counter() - begin)
    return 1.0 / float(np.median(durations[2:]))


@dataclass
class Scene:
    """One world and its users; every call of a clock moves them and simulates a second."""

    world: World
    state: NetworkState
    streams: Streams
    rng: np.random.Generator
    t: int = 0

    @classmethod
    def build(cls, n_users: int, n_cells: int, *, people: bool = True, pixel_m: float = 4.0) -> Scene:
        """Table I's city with that many stations; `people` without plans are enough for the network's part."""
        from mndt import engine
        from mndt.city.synthetic import synthetic_city
        from mndt.radio.maps import RadioParameters
        from mndt.streams import Streams
        from mndt.users.demand import DemandParameters, OwnDemand, random_clusters
        from mndt.users.mobility import UserParameters
        from mndt.users.tracks import StraightLines

        outdoor, streams = round(n_cells * 39 / 184), Streams(0)
        city = synthetic_city(outdoor_sites=outdoor, indoor_sites=n_cells - outdoor)
        city = replace(city, cells=replace(city.cells, blocks=np.full(n_cells, BLOCKS)))
        radio = RadioParameters(resolution_m=pixel_m)
        world = engine.build_world(city, radio=radio, users=UserParameters(count=n_users if people else 1), n_jobs=1)
        if not people:
            demand = OwnDemand(random_clusters(n_users, streams), DemandParameters())
            world = replace(world, mobility=StraightLines(n_users, city.frame), demand=demand)
        state, _ = engine.step(world, engine.start(world), None, streams)
        return cls(world, state, streams, np.random.default_rng(1))

    def walk(self, rows: np.ndarray | None = None) -> None:
        """Everyone, or some, a step of a walk farther; who leaves the city comes in on the other side."""
        self.t += 1
        users, n = self.state.users, len(self.state.users) if rows is None else len(rows)
        shift_m = self.rng.normal(0, 1.0, (2, n)).astype(np.float32)  # 1.25 m on average
        x_m, y_m = users.x_m.copy(), users.y_m.copy()
        where = slice(None) if rows is None else rows
        x_m[where] = (x_m[where] + shift_m[0]) % self.world.city.frame.width_m
        y_m[where] = (y_m[where] + shift_m[1]) % self.world.city.frame.depth_m
        self.state = replace(self.state, users=replace(users, x_m=x_m, y_m=y_m))

    def one_block_each(self) -> tuple[np.ndarray, np.ndarray]:
        """An allocation in which every user has one block, and equal powers."""
        n_users, n_cells = len(self.state.users), len(self.world.city.cells)
        n_blocks = -(-n_users // n_cells)
        user_of_block = np.full((n_cells, n_blocks), -1, np.int32)
        user_of_block.ravel()[:n_users] = self.rng.permutation(np.arange(n_users, dtype=np.int32))
        return user_of_block, np.where(user_of_block >= 0, 1.0 / n_blocks, 0.0).astype(np.float32)

    def clocks(self) -> dict[str, Clock]:
        """What is timed, by name, in the order in which it is."""
        return {"radio": self.radio(), "formula": self.formula(), "ran": self.ran("random", "fair"),
                "ran_fair": self.ran("proportional-fair", "equal"), "twin": self.twin()}  # fmt: skip

    def radio(self) -> Clock:
        """From positions to rates, by the maps."""
        user_of_block, power_w = self.one_block_each()
        hz = self.world.city.cells.block_hz[:, None].astype(np.float32)

        def second() -> None:
            links = self.world.channel.links(self.state.users, self.state.settings, self.streams.key("fading"), self.t)
            np.multiply(hz, np.log2(1.0 + links.block_sinr(user_of_block, power_w)))

        return second

    def formula(self) -> Clock:
        """From positions to rates, by the loss formula that CRRM is run with."""
        from mndt.parallel import by_rows
        from mndt.radio import _kernels

        city, n = self.world.city, len(self.state.users)
        user_of_block, power_w = self.one_block_each()
        hz = city.cells.block_hz[:, None].astype(np.float32)
        at = tuple(place[city.cells.site].astype(np.float32) for place in (city.sites.x_m, city.sites.y_m))
        links = self.world.channel.links(self.state.users, self.state.settings, self.streams.key("fading"))

        def second() -> None:
            users = self.state.users
            by_rows(_kernels.level_by_formula, n, users.x_m, users.y_m, *at, 23.5, 560.0, 3.5, links.level)
            np.multiply(hz, np.log2(1.0 + links.block_sinr(user_of_block, power_w)))

        return second

    def ran(self, blocks: str, power: str) -> Clock:
        """The network's second with everybody active: a megabit arrives for each."""
        from mndt import engine
        from mndt.state import Action, Demand, Mode

        n = len(self.state.users)
        action = Action(association="a3", blocks=blocks, power=power)
        demand = Demand(np.full(n, 2, np.int8), np.full(n, 1e6, np.float32))
        memory, walking = {"state": self.state}, np.full(n, Mode.WALK, np.int8)

        def second() -> None:
            users = replace(self.state.users, mode=walking)
            state, _ = engine.serve(self.world, memory["state"], users, demand, action, self.streams)
            memory["state"] = replace(state, time_s=state.time_s + 1)

        return second

    def twin(self) -> Clock:
        """The whole second under the fundamentals."""
        from mndt import engine

        def second() -> None:
            self.state, _ = engine.step(self.world, self.state, None, self.streams)

        return second

    def look_ups(self) -> dict[str, Clock]:
        """Links a call looks up: levels ranked by strength, and linear gains."""
        from mndt.parallel import by_rows
        from mndt.radio import _kernels

        channel, users = self.world.channel, self.state.users
        links, key = channel.links(users, self.state.settings, self.streams.key("fading")), np.uint32(0)
        gain = np.empty(links.level.shape, np.float32)

        def linear() -> None:
            by_rows(_kernels.gains, len(users), channel.links(users, self.state.settings, key).level, gain)

        return {"links_per_s": lambda: channel.links(users, self.state.settings, key), "gains_per_s": linear}

    def incremental(self, share: float) -> tuple[Clock, Clock]:
        """The radio part when a share of the users moves: their links and their blocks are renewed."""
        user_of_block, power_w = self.one_block_each()
        channel, settings, n = self.world.channel, self.state.settings, len(self.state.users)
        hz = self.world.city.cells.block_hz[:, None].astype(np.float32)
        memory: dict[str, Any] = {"links": channel.links(self.state.users, settings, np.uint32(1))}
        memory["sinr"] = memory["links"].block_sinr(user_of_block, power_w)

        def prepare() -> None:
            memory["rows"] = self.rng.choice(n, max(1, round(share * n)), replace=False)
            self.walk(memory["rows"])

        def second() -> None:
            changed = np.zeros(n, np.bool_)
            changed[memory["rows"]] = True
            links = channel.follow(memory["links"], self.state.users, settings, memory["rows"], np.uint32(1))
            sinr = links.block_sinr_again(memory["sinr"], changed, user_of_block, power_w)
            np.multiply(hz, np.log2(1.0 + sinr))
            memory.update(links=links, sinr=sinr)

        return second, prepare


def growth(seconds: float) -> dict[str, float]:
    """The network's second at several sizes, and the exponents of its growth in users and in cells."""
    steps_per_s: dict[str, float] = {}
    for kind, sizes in SIZES.items():
        for size in sizes:
            n_users, n_cells = (size, 184) if kind == "users" else (13_000, size)
            scene = Scene.build(n_users, n_cells, people=False, pixel_m=COARSE_M)
            steps_per_s[f"steps_per_s_{n_users}x{n_cells}"] = rate(scene.ran("random", "fair"), seconds, scene.walk)
    by_users = [1.0 / steps_per_s[f"steps_per_s_{n}x184"] for n in SIZES["users"]]
    by_cells = [1.0 / steps_per_s[f"steps_per_s_13000x{n}"] for n in SIZES["cells"]]
    return steps_per_s | {
        "steps_per_s_100000": steps_per_s["steps_per_s_100000x184"],
        "exponent_users": exponent(SIZES["users"], by_users),
        "exponent_cells": exponent(SIZES["cells"], by_cells),
    }


def exponent(sizes: tuple[int, ...], durations: list[float]) -> float:
    """Slope of the logarithm of the time over the logarithm of the size.

    >>> round(exponent((1, 10, 100), [0.5, 5.0, 50.0]), 6)
    1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(durations), 1)[0])


def _two_threads(scene: Scene, seconds: float, threads: int) -> dict[str, float]:
    """How much faster the network's second, and its radio part, are on two threads than on one."""
    clocks = {"ran": scene.ran("random", "fair"), "radio": scene.radio()}
    took: dict[tuple[str, int], list[float]] = {}
    for _ in range(3):  # in turns, so that a noisy moment hits both
        for n in (1, 2):
            set_threads(n)
            for name, clock in clocks.items():
                took.setdefault((name, n), []).append(1.0 / rate(clock, seconds / 3, scene.walk))
    set_threads(threads)
    speedup = {name: float(np.median(took[name, 1]) / np.median(took[name, 2])) for name in clocks}
    return {"speedup_2_threads": speedup["ran"], "speedup_2_threads_radio": speedup["radio"]}


def _crrm(n_users: int, n_cells: int, seconds: float, moving: float) -> dict[str, Any] | None:
    """CRRM's figure from its own process, or None where it is not installed."""
    import json
    from importlib.util import find_spec

    if find_spec("CRRM") is None:
        return None
    size = (str(n_users), str(n_cells), str(seconds), str(moving))
    command = [sys.executable, "-W", "ignore", "-m", "mndt.checks.peer_crrm", *size]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return {"name": "CRRM", "version": figures.pop("version"), "figures": figures}
