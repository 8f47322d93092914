"""What comes into the engine from outside, checked at its border: decisions, users and demand.

Kernels trust the arrays they are given. Policies and sources may be anybody's, so whatever they
return is looked at once a second, before a kernel sees it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int32

from mndt.city.model import Cells
from mndt.city.schema import SERVICES
from mndt.errors import InputError, unknown_name
from mndt.network.association import ASSOCIATION
from mndt.network.power import POWER
from mndt.network.scheduling import BLOCKS
from mndt.state import Action, CellSettings, Demand, Mode, NetworkState, Status, Users
from mndt.world import World

Array = np.ndarray

TOLERANCE: Final = 1e-6
"""Share of its budget by which rounding may take a cell above it."""

WHO: Final = "action"


def check_action(world: World, state: NetworkState, action: Action) -> None:
    """See whether a decision can be carried out: names known, arrays of the right make and values.

    A policy cannot know what fails this second, so cells that are off or asleep may be decided upon:
    what is decided for them falls away (`possible_cells`, `possible_blocks`).

    Args:
        world, state: what is decided upon.
        action: the decision.

    Raises:
        InputError: the first thing that does not fit; nothing has been simulated then.

    A name that nobody knows is refused like everything else::

        check_action(world, state, Action(blocks="fairest"))  # InputError: action: blocks is 'fairest', allowed is ...
    """
    if not isinstance(action, Action):
        fix = "let the policy return one"
        raise InputError("the policy's answer", f"a {type(action).__name__}", allowed="a mndt.Action", fix=fix)
    if action.settings is not None and action.settings is not state.settings:
        check_settings(action.settings, world.city.cells)
    for name, known in (("association", ASSOCIATION), ("blocks", BLOCKS), ("power", POWER)):
        choice = getattr(action, name)
        if isinstance(choice, str):
            if choice not in known:
                raise unknown_name(name, choice, known, where=WHO)
        elif choice is not None and not (name == "power" and callable(choice)):
            _CHECKS[name](choice, world.city.cells, state, action.settings or state.settings)


def check_power(power_w: Any, shape: tuple[int, ...], settings: CellSettings) -> None:
    """See whether what a policy's rule of power gave can be sent.

    Raises:
        InputError: another shape or type than asked for, powers that are negative, no numbers or above a cell's.
    """
    _check_array("power", power_w, shape, np.float32, WHO, POWER)
    _check_watts(power_w, settings)


def check_users(users: Users, n_users: int, source: object) -> Users:
    """What a source of users says, with absent users put where it does no harm.

    Args:
        users: as the source returned it; positions of absent users may be anything, also NaN.
        n_users: rows of the state: a population grows and shrinks by rows that are `Mode.ABSENT`.
        source: for the message.

    Raises:
        InputError: other rows or types than the state has, or a present user at no finite place.
    """
    where = f"users of {type(source).__name__}"
    for field in fields(Users):
        _check_array(field.name, getattr(users, field.name), (n_users,), _USERS[field.name], where)
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(users.x_m.sum() + users.y_m.sum() + users.speed_mps.sum()):
            return users
    bad = ~(np.isfinite(users.x_m) & np.isfinite(users.y_m) & np.isfinite(users.speed_mps))
    present = np.flatnonzero(bad & (users.mode != Mode.ABSENT))
    if len(present):
        name = next(n for n in ("x_m", "y_m", "speed_mps") if not np.isfinite(getattr(users, n)[present[0]]))
        value = f"{getattr(users, name)[present[0]]} for user {present[0]}"
        fix = "mend the source, or make the user absent"
        raise InputError(name, value, allowed="a finite number", fix=fix, where=where)
    still = {n: np.where(bad, np.float32(0.0), getattr(users, n)) for n in ("x_m", "y_m", "speed_mps")}
    return replace(users, **still)


def check_demand(demand: Demand, n_users: int, source: object) -> None:
    """See whether what a source of demand says can be served.

    Raises:
        InputError: other rows or types than the state has, an unknown service, or bits that are not a number.
    """
    where = f"demand of {type(source).__name__}"
    _check_array("service", demand.service, (n_users,), np.int8, where)
    _check_array("bits", demand.bits, (n_users,), np.float32, where)
    _check_rows("service", demand.service, len(SERVICES), "a row of the table of services", where)
    if n_users and not (demand.bits.min() >= 0 and demand.bits.max() < np.inf):  # written so that NaN fails
        at = int(np.flatnonzero(~((demand.bits >= 0) & (demand.bits < np.inf)))[0])
        fix = "mend the source"
        raise InputError(
            "bits", f"{demand.bits[at]} for user {at}", allowed="a number, 0 or more", fix=fix, where=where
        )


def check_settings(settings: CellSettings, cells: Cells, *, where: str = WHO, any_power: bool = False) -> None:
    """See whether operating parameters are of the right make, one for each cell and in their ranges.

    Args:
        settings: operating parameters.
        cells: as built.
        where: whose settings, for the message.
        any_power: power beyond a cell's maximum is allowed: what if it had more?

    Raises:
        InputError: the first thing that does not fit.

    As everything stands it fits::

        check_settings(state.settings, world.city.cells)
    """
    if not isinstance(settings, CellSettings):
        found = f"a {type(settings).__name__}"
        raise InputError("settings", found, allowed="mndt.CellSettings", fix="replace state.settings", where=where)
    most_w = np.full(len(cells), np.inf) if any_power else cells.max_power_w
    for field in fields(CellSettings):
        name, values = f"settings.{field.name}", getattr(settings, field.name)
        kind: type[np.generic] = np.int8 if field.name == "status" else np.float32
        _check_array(name, values, (len(cells),), kind, where)
        bad = _outside(field.name, values, most_w)
        if bad.any():
            c = int(np.flatnonzero(bad)[0])
            fix = "mend the policy" if where == WHO else "change it"
            _refuse(name, f"{values[c]} for cell {c}", _allowed(field.name, float(most_w[c])), where, fix)


def possible_cells(serving: Int32[Array, "users"], blocks: Int32[Array, "cells"]) -> Int32[Array, "users"]:
    """A decided association, without the cells that do not serve this second.

    Args:
        serving: as decided, -1 = none.
        blocks: usable ones of each cell, 0 when asleep or off.

    >>> possible_cells(np.int32([0, 1, -1]), np.int32([5, 0])).tolist()
    [0, -1, -1]
    """
    serves = np.append(blocks > 0, False)  # row -1 is the last one
    return np.where(serves[serving], serving, np.int32(-1))


def possible_blocks(
    user_of_block: Int32[Array, "cells blocks"],
    serving: Int32[Array, "users"],
    blocks: Int32[Array, "cells"],
) -> Int32[Array, "cells blocks"]:
    """Decided blocks, without those of cells that do not serve, of other cells' users, and of the idle.

    Args:
        user_of_block: as decided, -1 = free.
        serving: of the users that have something to receive, -1 for the others.
        blocks: usable ones of each cell, 0 when asleep or off.

    >>> possible_blocks(np.int32([[0, 1, 0]]), np.int32([0, -1]), np.int32([3])).tolist()
    [[0, -1, 0]]
    """
    cell = np.append(serving, np.int32(-1))[user_of_block]  # row -1 is the last one
    possible = (cell == np.arange(len(blocks))[:, None]) & (blocks > 0)[:, None]
    return np.where(possible, user_of_block, np.int32(-1))


# Inside -----------------------------------------------------------------------------------------

_USERS: Final[dict[str, type[np.generic]]] = {
    "x_m": np.float32,
    "y_m": np.float32,
    "speed_mps": np.float32,
    "mode": np.int8,
    "area": np.int32,
}


def _outside(name: str, values: Array, most_w: Float[Array, "cells"]) -> Bool[Array, "cells"]:
    """Where a setting is out of its range; written so that NaN is."""
    if name == "status":
        return np.asarray((values < Status.ON) | (values > Status.OFF))
    if name == "power_w":
        return np.asarray(~((values >= 0) & (values <= most_w * (1 + TOLERANCE)) & np.isfinite(values)))
    return np.asarray(~np.isfinite(values))


def _allowed(name: str, most_w: float) -> str:
    if name == "status":
        return "0 on, 1 asleep or 2 off"
    if name == "power_w":
        return f"0 to {most_w:g} W, its maximum" if most_w < np.inf else "0 W or more"
    return "a finite number"


def _check_association(choice: Any, cells: Cells, state: NetworkState, settings: CellSettings) -> None:
    _check_array("association", choice, (len(state.users),), np.int32, WHO, ASSOCIATION)
    _check_rows("association", choice, len(cells), "the row of a cell, -1 = none", WHO)


def _check_blocks(choice: Any, cells: Cells, state: NetworkState, settings: CellSettings) -> None:
    shape = state.allocation.user_of_block.shape
    _check_array("blocks", choice, shape, np.int32, WHO, BLOCKS)
    _check_rows("blocks", choice, len(state.users), "the row of a user, -1 = free", WHO)
    beyond = (choice >= 0) & (np.arange(shape[1]) >= cells.blocks[:, None])
    if beyond.any():
        c, k = (int(at[0]) for at in np.nonzero(beyond))
        _refuse("blocks", f"user {choice[c, k]} on block {k} of cell {c}", f"-1 beyond the {cells.blocks[c]} it has")


def _check_power(choice: Any, cells: Cells, state: NetworkState, settings: CellSettings) -> None:
    _check_array("power", choice, state.allocation.power_w.shape, np.float32, WHO, POWER)
    _check_watts(choice, settings)


def _check_watts(choice: Array, settings: CellSettings) -> None:
    if choice.size and not (choice.min() >= 0 and choice.max() < np.inf):  # written so that NaN fails
        c, k = (int(at[0]) for at in np.nonzero(~((choice >= 0) & (choice < np.inf))))
        _refuse("power", f"{choice[c, k]} on block {k} of cell {c}", "0 W or more")
    spent_w = choice.sum(axis=1, dtype=np.float64)
    above = np.flatnonzero(spent_w > settings.power_w * np.float64(1 + TOLERANCE))
    if len(above):
        c = int(above[0])
        _refuse("power", f"{spent_w[c]:g} W in cell {c}", f"at most the {settings.power_w[c]:g} W of its setting")


_CHECKS: Final = {"association": _check_association, "blocks": _check_blocks, "power": _check_power}


def _check_rows(field: str, rows: Array, n: int, meaning: str, where: str) -> None:
    """Every row number exists, or is -1."""
    if not rows.size or (rows.min() >= -1 and rows.max() < n):
        return
    at = np.unravel_index(int(np.argmax((rows < -1) | (rows >= n))), rows.shape)
    spot = f"user {at[0]}" if rows.ndim == 1 else f"block {at[1]} of cell {at[0]}"
    allowed = f"-1 to {n - 1} ({meaning})" if n else "-1, for there are none"
    _refuse(field, f"{rows[at]} for {spot}", allowed, where)


def _check_array(
    field: str, value: Any, shape: tuple[int, ...], kind: type[np.generic], where: str, names: Collection[str] = ()
) -> None:
    """The right kind of array, to the number type: kernels are compiled for one."""
    if isinstance(value, np.ndarray) and value.shape == shape and value.dtype == kind:
        return
    wanted = f"{np.dtype(kind).name}[{', '.join(map(str, shape))}]"
    if not isinstance(value, np.ndarray):
        known = f", or one of {', '.join(sorted(names))}" if names else ""
        _refuse(field, f"a {type(value).__name__}", f"an array {wanted}{known}", where, "give such an array")
    found = f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
    fix = f"convert it with .astype(np.{np.dtype(kind).name})" if value.shape == shape else "give it that shape"
    _refuse(field, found, wanted, where, fix)


def _refuse(field: str, value: str, allowed: str, where: str = WHO, fix: str = "mend the policy") -> None:
    if where != WHO and fix == "mend the policy":
        fix = "mend the source"
    raise InputError(field, value, allowed=allowed, fix=fix, where=where)
