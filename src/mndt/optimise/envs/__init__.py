"""Gymnasium environments for researchers. Importing this module registers them.

``mndt/Association-v0``: a compact study of who connects where, fast enough to learn on a laptop.
``mndt/TwinAssociation-v0``: the same question put to the whole twin of a city.
``mndt/Allocation-v0``: cells, blocks and powers so that demands are met, the problem of the paper's Table II.
``mndt/CellSleep-v0``: one agent a cell, on, asleep or off, for PettingZoo: `mndt.optimise.envs.sleep.CellSleepEnv`.

    import gymnasium
    import mndt.optimise.envs

    env = gymnasium.make("mndt/Association-v0", size="medium")
    envs = gymnasium.make_vec("mndt/Association-v0", num_envs=256, size="medium")

Gymnasium 1.0 and later no longer look for environments of installed packages: one import, of this
module, has to come before `make`. ``gymnasium.make("mndt.optimise.envs:mndt/Association-v0")`` does both.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from mndt.errors import InputError

if find_spec("gymnasium") is None:
    raise InputError("gymnasium", "not installed", allowed="1.1 or later", fix="pip install 'mndt[rl]'")

import gymnasium

from mndt.optimise.envs.association import AssociationEnv, AssociationVectorEnv
from mndt.optimise.envs.checking import CheckError, check
from mndt.optimise.envs.setting import SIZES, Setting

ASSOCIATION: Final = "mndt/Association-v0"
TWIN_ASSOCIATION: Final = "mndt/TwinAssociation-v0"
ALLOCATION: Final = "mndt/Allocation-v0"

__all__ = [
    "ALLOCATION",
    "ASSOCIATION",
    "SIZES",
    "TWIN_ASSOCIATION",
    "AssociationEnv",
    "AssociationVectorEnv",
    "CheckError",
    "Setting",
    "check",
    "register",
]


def register() -> None:
    """Make the environments known to Gymnasium; done when this module is imported, and harmless twice.

    No wrapper comes between caller and environment: they end their episodes themselves, refuse a
    step before the first reset, and `check` is what the passive checker would look at.
    """
    home = "mndt.optimise.envs"
    for name, entry_point, vector_entry_point in (
        (ASSOCIATION, f"{home}:AssociationEnv", f"{home}:AssociationVectorEnv"),
        (TWIN_ASSOCIATION, f"{home}.twin:TwinAssociationEnv", None),  # loads the engine, when made
        (ALLOCATION, f"{home}.allocation:AllocationEnv", None),
    ):
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point=entry_point,
                vector_entry_point=vector_entry_point,
                order_enforce=False,
                disable_env_checker=True,
            )


register()
