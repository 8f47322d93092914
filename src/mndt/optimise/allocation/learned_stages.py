"""Stages of the chain that are learned, with the weights of the package unless others are given."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.errors import unknown_name
from mndt.learn import demand_policy
from mndt.learn.block_graph import BlockGraph, lay_out
from mndt.learn.edge_weights import Weights, block_features, choose_cells, forward, read_edges
from mndt.learn.power_policy import Scene, learned_power, read_power, scene_of
from mndt.optimise.allocation.forecast import mean_rate
from mndt.optimise.allocation.outlook import heard
from mndt.optimise.allocation.problem import Moment
from mndt.optimise.allocation.stages import FIRST_MEAN, Task, hungarian_blocks, place_users

Array = np.ndarray


SHIPPED: Final = ("table2", "table2-umi")
"""Scenarios for which the package has weights."""


@cache
def chain_weights(of: str) -> Weights:
    """Networks of edges and powers of a scenario of `SHIPPED`, or of a file ending in .npz.

    Raises:
        InputError: neither, or a file without fitting weights.
    """
    if of.endswith(".npz"):
        return read_edges(of) | read_power(of)
    if of not in SHIPPED:
        raise unknown_name("weights", of, (*SHIPPED, "FILE.npz"))
    with as_file(files("mndt.data") / f"allocation_chain_{of}.npz") as path:
        return read_edges(path) | read_power(path)


@cache
def demand_weights(of: str) -> demand_policy.Params:
    """The policy of single-step demands that comes with the package, or of a file ending in .npz."""
    if of.endswith(".npz"):
        return demand_policy.read(of)
    with as_file(files("mndt.data") / "allocation_demand.npz") as path:
        return demand_policy.read(path)


def demand_seen(moment: Moment) -> Float32[Array, "users features"]:
    """What the policy of single-step demands sees."""
    mean, users = mean_rate(moment) or FIRST_MEAN, len(moment.demand)
    rate = np.zeros(users, np.float32) if moment.rate is None else moment.rate
    return demand_policy.observe(moment.unmet, moment.received, rate, heard(moment), moment.step, moment.n_steps, mean)


def learned_demand(moment: Moment, weights: demand_policy.Params) -> Float32[Array, "users"]:
    """What the policy asks for, without trying anything."""
    action = demand_policy.mean_action(weights, demand_seen(moment))
    return demand_policy.asked(moment.unmet, moment.steps_left, action)


def learned_cells(
    task: Task, weights: Weights, noise: float = 0.0, asked: list[Any] | None = None
) -> Int32[Array, "users"]:
    """The assignment of largest learned reward plus lambda times cost.

    Args:
        task: the step.
        weights: of the networks.
        noise: bit/s/Hz by which values are disturbed, for training: else other edges are never tried.
        asked: gathers features of the edges taken and whose they are, for training.
    """
    edges = task.edges
    reward, cost = forward(np, weights, "cell", edges.features)
    value = reward + task.bonus[:, None] * cost
    if noise:
        value = value + task.rng("explore").gumbel(0.0, noise, value.shape).astype(np.float32)
    cell = choose_cells(value, edges, task.strength, task.moment.limits.places)
    if asked is not None:
        taken = edges.cell == cell[:, None]
        asked.append((edges.features[taken], np.flatnonzero(taken.any(axis=1))))
    return cell


def learned_blocks(
    task: Task, cell: Int32[Array, "users"], weights: Weights, noise: float = 0.0, asked: list[Any] | None = None
) -> Int32[Array, "users"]:
    """Cell by cell the Hungarian method on learned reward plus lambda times cost."""
    if not noise and asked is None:  # biases of the last layer are the same for all edges of a user
        return place_users(task, cell, 0.0, *(weights[f"block_{name}"] for name in ("w0", "b0", "w1")))
    rng = task.rng("explore")

    def score(who: Array, *terms: Any) -> Array:
        reward, cost = forward(np, weights, "block", block_features(*terms))
        value: Array = reward + task.bonus[who, None] * cost
        return value + rng.gumbel(0.0, noise, value.shape).astype(np.float32) if noise else value

    taken: list[tuple[Any, ...]] | None = None if asked is None else []
    block = hungarian_blocks(task, cell, score, taken)
    if asked is not None and taken is not None:
        rows = [block_features(*terms)[np.arange(len(who)), at] for who, terms, at in taken]
        asked.append((np.concatenate(rows), np.concatenate([who for who, _, _ in taken])))
    return block


def power_scene(task: Task, cell: Array, block: Array, slots: int | None = None) -> tuple[BlockGraph, Scene]:
    """What the power policy is told of a choice of cells and blocks."""
    limits, worth = task.moment.limits, task.worth
    graph = lay_out(task.moment.gain, cell, block, limits.power_w, limits.n_blocks, limits.noise_w, slots)
    return graph, scene_of(graph, worth.weight, worth.bonus, worth.need)


def policy_power(task: Task, cell: Array, block: Array, weights: Weights) -> Float32[Array, "users"]:
    """Powers of the learned policy."""
    graph, scene = power_scene(task, cell, block)
    return graph.gather(learned_power(weights, scene))
