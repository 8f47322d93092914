"""What a policy is, and the registry by name.

A policy is a function ``NetworkState -> Action``: a baseline, a trained agent and an operator's plan
are the same type. What an action leaves None the network's own fundamentals decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mndt.errors import unknown_name
from mndt.state import Action, NetworkState

if TYPE_CHECKING:  # names of policies are checked without loading the kernels
    from mndt.world import World

Policy = Callable[[NetworkState], Action]
"""Sees the state at the start of a second, returns the decision for it."""


def fundamentals(world: World) -> Policy:
    """The paper's network without an optimiser: nearest station, one random block per user, fair power."""
    return lambda state: Action()


def proportional_fair(world: World) -> Policy:
    """Strongest cell, then handover by A3; proportional-fair blocks (several per user), equal power per block.

    Kelly et al., J. Oper. Res. Soc. 49 (1998), doi:10.1057/palgrave.jors.2600523; the usual
    scheduler of commercial base stations.
    """
    action = Action(association="a3", blocks="proportional-fair", power="equal")
    return lambda state: action


def service_need(world: World) -> Policy:
    """Strongest cell, then handover by A3; as few blocks and as little power as each user's service needs.

    The paper's adjustment of power and bandwidth to the recognised service (III-B): Shannon's
    equation, or the rate law in force, inverted for what waits.
    """
    action = Action(association="a3", blocks="rate-need", power="need")
    return lambda state: action


def allocation(world: World) -> Policy:
    """Handover by A3, proportional-fair blocks; the power on all blocks of all cells decided together (paper IV-A)."""
    from mndt.optimise.allocation.in_twin import TwinAllocation

    return TwinAllocation(world)


POLICIES: Final[dict[str, Callable[[World], Policy]]] = {
    "fundamentals": fundamentals,
    "proportional-fair": proportional_fair,
    "service-need": service_need,
    "allocation": allocation,
}
"""Name on the command line and in scenarios -> factory."""


WITHOUT_A3: Final = frozenset({"fundamentals"})
"""Policies under which nobody is handed over by event A3: the table [handover] means nothing to them."""


SCHEDULERS: Final = {
    "fundamentals": "random",
    "proportional-fair": "proportional-fair",
    "service-need": "rate-need",
    "allocation": "proportional-fair",
}
"""What gives the blocks under each policy, and with it how many users a cell admits per block."""


def in_a_sentence(name: str) -> str:
    """What a policy does, for people; empty for one that is not in the registry.

    >>> in_a_sentence("fundamentals")
    "The paper's network without an optimiser: nearest station, one random block per user, fair power."
    """
    return (POLICIES[name].__doc__ or "").splitlines()[0] if name in POLICIES else ""


def make_policy(name: str, world: World) -> Policy:
    """The policy of that name for a world; raises InputError for an unknown name.

    Any function from state to action is a policy; this one comes by name::

        policy = mndt.make_policy("proportional-fair", world)
        state, kpis = mndt.step(world, state, policy(state))
    """
    if name not in POLICIES:
        raise unknown_name("policy", name, POLICIES)
    return POLICIES[name](world)
