"""Training of the learned stages in the chain they work in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from mndt.files import whole_file
from mndt.learn import power_policy
from mndt.learn.block_graph import credit, lay_out
from mndt.learn.edge_weights import HIDDEN, Weights, fit_edges, start_weights
from mndt.learn.power_policy import PowerFit, Scene, fit_power
from mndt.optimise.allocation.learned_stages import learned_blocks, learned_cells, power_scene
from mndt.optimise.allocation.problem import Choice, Episode, Moment
from mndt.optimise.allocation.stages import (
    Task,
    equal_demand,
    exchanged_blocks,
    gradient_power,
    make_task,
    strongest_cells,
)
from mndt.parallel import bar
from mndt.streams import Streams

Array = np.ndarray
Scenario = Callable[[int], Episode]
"""Seed -> episode."""

FIRST_SEED: Final = 1000
"""Of training; nothing below is ever trained on."""
NOISE: Final = 0.3
"""bit/s/Hz of exploration at first; falls to a fifth."""
LAMBDAS: Final = (0.5, 1.0, 2.0, 4.0)
STEPS: Final = 4
"""Of a round."""
KEPT_ROUNDS: Final = 12
UPDATES: Final = 300
SCENES: Final = 3
"""Of an episode, to train powers on."""
MEAN_RATE: Final = 3.0
"""bit/s/Hz, of what was received before a scene."""

Credit = Literal["own", "all"]


@dataclass(frozen=True)
class EdgeFit:
    """Networks of edges and how they came about."""

    weights: Weights
    error: dict[str, float]  # mean absolute, of reward and cost together, bit/s/Hz
    rounds: int
    seconds: float
    curve: list[dict[str, float]]  # of every round: throughput and satisfied part by user and step


def train_edges(
    scenario: Scenario, *, minutes: float = 5.0, rounds: int | None = None, credit_to: Credit = "all", seed: int = 0,
    power: Callable[..., Array] = gradient_power, weights: Weights | None = None, updates: int = UPDATES,
) -> EdgeFit:  # fmt: skip
    """Train both networks of edges on what came of the edges they chose.

    Every round plays a few steps of an episode of a new seed with a lambda of its own, notes features and outcome
    of each edge taken, and regresses on the last rounds.

    Args:
        scenario: seed -> episode; seeds begin at `FIRST_SEED`.
        minutes: budget.
        rounds: or an exact number of rounds, for equal bytes whatever the machine.
        credit_to: "own": the user's own rate and satisfied part, as the paper writes it; "all": less what
            the others lose by him.
        seed: of weights, exploration and order.
        power: stage that follows.
        weights: to go on from.
        updates: steps of Adam in a round, for each network.
    """
    began = time.monotonic()
    weights = start_weights("cell", seed) | start_weights("block", seed) if weights is None else weights
    rng, curve = np.random.default_rng(seed), []
    notes: list[dict[str, tuple[Array, Array]]] = []
    error: dict[str, float] = {}
    with bar("training of edges", rounds) as advance:
        n = 0
        while n < (rounds or 10**6) and (rounds or time.monotonic() - began < 60.0 * minutes):
            share = n / rounds if rounds else (time.monotonic() - began) / (60.0 * minutes)
            noise = NOISE * (1.0 - 0.8 * share)
            lambda_ = float(rng.choice(LAMBDAS))
            scene = scenario(FIRST_SEED + 1000 * seed + n)
            note, line = _play(scene, weights, noise, lambda_, credit_to, power, seed + n)
            notes = [*notes[-KEPT_ROUNDS + 1 :], note]
            curve.append(line)
            for prefix in HIDDEN:
                x, y = (np.concatenate([note[prefix][i] for note in notes]) for i in (0, 1))
                weights, error[prefix] = fit_edges(prefix, weights, x, y, updates=updates, seed=seed + n)
            n += 1
            advance()
    return EdgeFit(weights, error, n, time.monotonic() - began, curve)


def _play(
    episode: Episode,
    weights: Weights,
    noise: float,
    lambda_: float,
    credit_to: Credit,
    power: Any,
    seed: int,
) -> tuple[dict[str, tuple[Array, Array]], dict[str, float]]:
    """A few steps from anywhere in an episode: features and outcomes of the edges taken, and a line of the curve."""
    cells: list[Any] = []
    blocks: list[Any] = []
    targets: list[Array] = []
    streams = Streams(seed)
    moment: Moment | None = _somewhere(episode, np.random.default_rng(seed))
    total = np.zeros(2)
    while moment is not None and len(targets) < STEPS:
        task = make_task(moment, equal_demand(moment), lambda_, streams)
        cell = learned_cells(task, weights, noise, cells)
        block = learned_blocks(task, cell, weights, noise, blocks)
        choice = Choice(cell, block, power(task, cell, block))
        had, worth = outcome(task, choice)
        targets.append(worth if credit_to == "all" else had)
        total += had.mean(axis=1)
        moment, _ = episode.advance(moment, choice)
    out = {}
    for prefix, asked in (("cell", cells), ("block", blocks)):
        x = np.concatenate([features for features, _ in asked])
        y = np.concatenate([target[:, who].T for target, (_, who) in zip(targets, asked, strict=True)])
        out[prefix] = x, y.astype(np.float32)
    n = len(targets)
    return out, {"lambda": lambda_, "throughput": total[0] / n, "satisfied": total[1] / n, "noise": noise}


def _somewhere(episode: Episode, rng: np.random.Generator) -> Moment:
    """Any step; what was received so far is drawn."""
    step = int(rng.integers(episode.n_steps))
    received = step * rng.gamma(4.0, MEAN_RATE / 4.0, len(episode.demand))
    return Moment(step, episode.n_steps, episode.gain_at(step), episode.demand, received, episode.limits)


def outcome(task: Task, choice: Choice) -> tuple[Array, Array]:
    """Rate and satisfied part of every user: his own, and with what the others lose by him taken off."""
    limits = task.moment.limits
    graph = lay_out(task.moment.gain, choice.cell, choice.block, limits.power_w, limits.n_blocks, limits.noise_w)
    had, worth = credit(graph, graph.spread(choice.power_w), graph.spread(task.demand))
    return np.stack([graph.gather(row) for row in had]), np.stack([graph.gather(row) for row in worth])


def train_power(
    scenario: Scenario, *, minutes: float = 5.0, updates: int = 1500, episodes: int = 8, seed: int = 0,
    weights: Weights | None = None,
) -> PowerFit:  # fmt: skip
    """Train the power policy on choices of cells and blocks from the chain, every one with a lambda of its own.

    Args:
        scenario: seed -> episode; seeds begin at `FIRST_SEED`.
        minutes: budget; ends earlier after `updates`.
        updates: steps of Adam, one scene each.
        episodes: from which scenes are taken, `SCENES` of each.
        seed: of weights and order.
        weights: to go on from.
    """
    began = time.monotonic()
    scenes = power_scenes(scenario, range(FIRST_SEED, FIRST_SEED + episodes))
    budget_s = 60.0 * minutes
    return fit_power(
        scenes, updates=updates, seed=seed, weights=weights, spent=lambda: (time.monotonic() - began) / budget_s
    )


def power_scenes(scenario: Scenario, seeds: Iterable[int]) -> list[Scene]:
    """Scenes as the power policy meets them, at any step: what was received so far is drawn."""
    out: list[Scene] = []
    for seed in seeds:
        episode, rng = scenario(seed), np.random.default_rng(seed)
        for _ in range(SCENES):
            moment = _somewhere(episode, rng)
            task = make_task(moment, equal_demand(moment), float(rng.choice((0.0, *LAMBDAS))), Streams(seed))
            cell = strongest_cells(task)
            block = exchanged_blocks(task, cell)
            slots = -(-int(np.bincount(block).max()) // 16) * 16  # few shapes: each is compiled for
            out.append(power_scene(task, cell, block, slots)[1])
    return out


def train_chain(
    scenario: str, out: str | Path, *, stage: Literal["edges", "power"], minutes: float = 10.0, seed: int = 0
) -> dict[str, float]:
    """Train one stage for a scenario of `mndt.optimise.allocation.scenarios` and write it with a card (md).

    Weights of the other stage that are in the file already stay there, so that both are trained one after
    the other into the same file; where there are some of this stage, training goes on from them.

    Args:
        scenario: name.
        out: path of the weights (npz); `make_pipeline(..., weights=out)` takes them.
        stage: "edges" or "power".
        minutes: budget.
        seed: of everything random, except episodes, whose seeds begin at `FIRST_SEED`.

    Returns:
        What the card says in numbers.
    """
    from mndt.optimise.allocation.scenarios import episode

    out, episodes = Path(out), partial(episode, scenario)
    kept: Weights = {}
    if out.exists():
        with np.load(out) as file:
            kept = {name: file[name] for name in file.files}
    names = start_weights("cell") | start_weights("block") if stage == "edges" else power_policy.start_weights()
    mine = {name: kept[name] for name in names} if names.keys() <= kept.keys() else None
    figures: dict[str, float]
    if stage == "edges":
        edges = train_edges(episodes, minutes=minutes, seed=seed, weights=mine)
        weights, last = edges.weights, edges.curve[-max(1, len(edges.curve) // 5) :]
        figures = {"rounds": edges.rounds, "seconds": edges.seconds}
        figures |= {f"error of {name}s in bit/s/Hz": value for name, value in edges.error.items()}
        figures["mean rate of the last fifth in bit/s/Hz"] = float(np.mean([line["throughput"] for line in last]))
    else:
        began = time.monotonic()
        power = train_power(episodes, minutes=minutes, updates=int(180 * minutes) + 1, seed=seed, weights=mine)
        tail = power.curve[-max(1, power.updates // 10) :]
        weights, figures = power.weights, {"updates": power.updates, "seconds": time.monotonic() - began}
        figures["worth by user of the last tenth in bit/s/Hz"] = float(tail.mean())
    note = "".join(f"| {stage} | {name} | {value:.4g} |\n" for name, value in figures.items())
    head = (
        f"| {stage} | command | `mndt train allocation --scenario {scenario} --stage {stage} --minutes {minutes:g}` |\n"
    )
    before = str(kept.get(f"card_{stage}", ""))  # of what this training went on from
    weights = kept | weights | {f"card_{stage}": np.array(before + head + note)}
    with whole_file(out) as target, open(target, "wb") as opened:
        np.savez(opened, **weights)  # type: ignore[arg-type]
    with whole_file(out.with_suffix(".md")) as target:
        target.write_text(_card(scenario, weights), encoding="utf-8")
    return figures


def _card(scenario: str, weights: Weights) -> str:
    """What the weights are and where they come from."""
    size = sum(value.size for name, value in weights.items() if not name.startswith("card"))
    lines = "".join(str(weights[name]) for name in ("card_edges", "card_power") if name in weights)
    return f"""# Learned stages of the chain of allocation, {scenario}

{size:,} numbers: rewards and costs of edges to cells and blocks (`mndt.learn.edge_weights`), powers
(`mndt.learn.power_policy`). Trained on episodes of scenario {scenario} with seeds from {FIRST_SEED}, lambda drawn from
{", ".join(f"{x:g}" for x in LAMBDAS)}.

| stage | | |
|---|---|---|
{lines}"""
