"""The paper's chain of an allocation: single-step demand, association, blocks, power (IV-A).

Each stage is a small function that can be exchanged by name::

    method = make_pipeline("equal", "learned", "learned", "learned", lambda_=2.0)
    outcome = play(episode, method)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.errors import unknown_name
from mndt.learn.edge_weights import Weights
from mndt.optimise.allocation import stages
from mndt.optimise.allocation.problem import Choice, Episode, Method, Moment
from mndt.optimise.allocation.stages import Ask, Task, begun, make_task
from mndt.streams import Streams

Array = np.ndarray

Demand = Callable[[Moment], Float32[Array, "users"] | Ask]
Association = Callable[[Task], Int32[Array, "users"] | Choice]
Blocks = Callable[[Task, Int32[Array, "users"]], Int32[Array, "users"]]
Power = Callable[[Task, Int32[Array, "users"], Int32[Array, "users"]], Float32[Array, "users"]]


def make_pipeline(
    demand: str | Demand = "equal", association: str | Association = "strongest", blocks: str | Blocks = "exchange",
    power: str | Power = "gradient", *, lambda_: float = 1.0, weights: str | Path = "table2",
    seed: int = 0,
) -> Method:  # fmt: skip
    """A method of these stages, each a name of `STAGES` or a function of the same form.

    Args:
        demand: "equal": what is unmet over the steps left; "none": ignored; "short": whatever they
            can get for those who will end short; "learned": equal parts scaled by a policy.
        association: "strongest" cell with a place, "exact" assignment of foretold worths, "learned" worths,
            "exchange": a sweep over users from the step before, which also gives the blocks to begin with.
        blocks: "random", "hungarian-linear-price" cell by cell, "learned" in place of the price, "exchange" with
            the exact loss of all others.
        power: "equal" in a cell, "wmmse", "gradient", "learned", "learned-gradient": the search begun where
            the policy says.
        lambda_: worth of a bit/s/Hz that meets the demand, on top of 1 for every bit/s/Hz.
        weights: of what is learned: of a scenario for which the package has some, or a file (.npz).
        seed: of all randomness.

    Raises:
        InputError: a name that no stage has, or weights that do not fit.
    """
    demand_of, cells_of, blocks_of, power_of = (
        _stage(kind, chosen, str(weights))
        for kind, chosen in (("demand", demand), ("association", association), ("blocks", blocks), ("power", power))
    )
    streams = Streams(seed)

    def decide(moment: Moment) -> Choice:
        task = make_task(moment, demand_of(moment), lambda_, streams)
        task, cell = begun(task, cells_of(task))
        block = blocks_of(task, cell)
        return Choice(cell, block, power_of(task, cell, block))

    return decide


def chain(episode: Episode, *, seed: int = 0, lambda_: float = 1.0, weights: str | Path | None = None) -> Method:
    """The chain as it decides best, in the form of `mndt.optimise.allocation.methods.METHODS`.

    Where places are short (`table2-umi`) cells come from a sweep over users and the search for powers begins where the
    policy says; else cells come from learned edges and the search from equal shares. Blocks are learned. Weights are
    those of ``table2-umi`` where places are short, else of ``table2``.
    """
    scarce = len(episode.demand) > SCARCE * len(episode.limits.power_w) * episode.limits.places
    association, power = ("exchange", "learned-gradient") if scarce else ("learned", "gradient")
    known = weights if weights is not None else "table2-umi" if scarce else "table2"
    return make_pipeline("equal", association, "learned", power, lambda_=lambda_, weights=known, seed=seed)


def _stage(kind: str, chosen: str | Callable[..., Any], weights: str) -> Any:
    """The function behind a name; functions are taken as they are."""
    if callable(chosen):
        return chosen
    if chosen not in STAGES[kind]:
        raise unknown_name(kind, chosen, STAGES[kind])
    stage = STAGES[kind][chosen]
    if "learned" not in chosen:
        return stage
    from mndt.optimise.allocation.learned_stages import chain_weights, demand_weights

    return partial(stage, weights=(demand_weights if kind == "demand" else chain_weights)(weights))


def _learned_demand(moment: Moment, weights: dict[str, Array]) -> Float32[Array, "users"]:
    from mndt.optimise.allocation.learned_stages import learned_demand

    return learned_demand(moment, weights)


def _learned_cells(task: Task, weights: Weights) -> Int32[Array, "users"]:
    from mndt.optimise.allocation.learned_stages import learned_cells

    return learned_cells(task, weights)


def _learned_blocks(task: Task, cell: Array, weights: Weights) -> Int32[Array, "users"]:
    from mndt.optimise.allocation.learned_stages import learned_blocks

    return learned_blocks(task, cell, weights)


def _learned_power(task: Task, cell: Array, block: Array, weights: Weights) -> Float32[Array, "users"]:
    from mndt.optimise.allocation.learned_stages import policy_power

    return policy_power(task, cell, block, weights)


SCARCE: Final = 0.5
"""Share of the places that must be taken for learned cells to be left to a sweep."""


def _polished_power(task: Task, cell: Array, block: Array, weights: Weights) -> Float32[Array, "users"]:
    return stages.polished_power(task, cell, block, _learned_power(task, cell, block, weights))


STAGES: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "demand": {
        "equal": stages.equal_demand,
        "none": stages.no_demand,
        "short": stages.short_demand,
        "learned": _learned_demand,
    },
    "association": {
        "strongest": stages.strongest_cells,
        "exact": stages.exact_cells,
        "exchange": stages.exchanged_cells,
        "learned": _learned_cells,
    },
    "blocks": {
        "random": stages.random_blocks,
        "hungarian-linear-price": stages.priced_blocks,
        "learned": _learned_blocks,
        "exchange": stages.exchanged_blocks,
    },
    "power": {
        "equal": stages.equal_power,
        "wmmse": stages.wmmse_power,
        "gradient": stages.gradient_power,
        "learned": _learned_power,
        "learned-gradient": _polished_power,
    },
}
"""Kind of a stage -> name -> function; those with "learned" in their name also take weights."""
