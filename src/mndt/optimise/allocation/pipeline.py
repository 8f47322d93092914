"""The paper's chain of an allocation: single-step demand, association, blocks, power (IV-A).

Each stage is a small function that can be exchanged by name::

    method = make_pipeline("equal", "learned", "learned", "learned", lambda_=2.0)
    outcome = play(episode, method)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.errors import unknown_name
from mndt.optimise.allocation import stages
from mndt.optimise.allocation.problem import Choice, Method, Moment
from mndt.optimise.allocation.stages import Ask, Task, make_task
from mndt.streams import Streams

Array = np.ndarray

Demand = Callable[[Moment], Float32[Array, "users"] | Ask]
Association = Callable[[Task], Int32[Array, "users"]]
Blocks = Callable[[Task, Int32[Array, "users"]], Int32[Array, "users"]]
Power = Callable[[Task, Int32[Array, "users"], Int32[Array, "users"]], Float32[Array, "users"]]


def make_pipeline(
    demand: str | Demand = "equal", association: str | Association = "strongest", blocks: str | Blocks = "exchange",
    power: str | Power = "gradient", *, lambda_: float = 2.0, seed: int = 0,
) -> Method:  # fmt: skip
    """A method of these stages, each a name of `STAGES` or a function of the same form.

    Args:
        demand: "equal": what is unmet over the steps left; "none": ignored; "short": whatever they
            can get for those who will end short.
        association: "strongest" cell with a place, "exact" assignment of foretold worths, "learned" worths.
        blocks: "random", "hungarian-linear-price" cell by cell, "learned" in place of the price, "exchange" with
            the exact loss of all others.
        power: "equal" in a cell, "wmmse", "gradient", "learned".
        lambda_: worth of a bit/s/Hz that meets the demand, on top of 1 for every bit/s/Hz.
        seed: of all randomness.

    Raises:
        InputError: a name that no stage has.
    """
    demand_of, cells_of = _stage("demand", demand), _stage("association", association)
    blocks_of, power_of = _stage("blocks", blocks), _stage("power", power)
    streams = Streams(seed)

    def decide(moment: Moment) -> Choice:
        task = make_task(moment, demand_of(moment), lambda_, streams)
        cell = cells_of(task)
        block = blocks_of(task, cell)
        return Choice(cell, block, power_of(task, cell, block))

    return decide


def _stage(kind: str, chosen: str | Callable[..., Any]) -> Any:
    """The function behind a name; functions are taken as they are."""
    if callable(chosen):
        return chosen
    if chosen not in STAGES[kind]:
        raise unknown_name(kind, chosen, STAGES[kind])
    return STAGES[kind][chosen]()


def _learned_association() -> Association:
    from mndt.optimise.allocation.learned_stages import learned_cells, shipped_edges

    return partial(learned_cells, weights=shipped_edges())


def _learned_blocks() -> Blocks:
    from mndt.optimise.allocation.learned_stages import learned_blocks, shipped_edges

    return partial(learned_blocks, weights=shipped_edges())


def _learned_power() -> Power:
    from mndt.optimise.allocation.learned_stages import policy_power, shipped_power

    return partial(policy_power, weights=shipped_power())


STAGES: Final[dict[str, dict[str, Callable[[], Any]]]] = {
    "demand": {
        "equal": lambda: stages.equal_demand,
        "none": lambda: stages.no_demand,
        "short": lambda: stages.short_demand,
    },
    "association": {
        "strongest": lambda: stages.strongest_cells,
        "exact": lambda: stages.exact_cells,
        "learned": _learned_association,
    },
    "blocks": {
        "random": lambda: stages.random_blocks,
        "hungarian-linear-price": lambda: stages.priced_blocks,
        "learned": _learned_blocks,
        "exchange": lambda: stages.exchanged_blocks,
    },
    "power": {
        "equal": lambda: stages.equal_power,
        "wmmse": lambda: stages.wmmse_power,
        "gradient": lambda: stages.gradient_power,
        "learned": _learned_power,
    },
}
"""Kind of a stage -> name -> what makes the function."""
