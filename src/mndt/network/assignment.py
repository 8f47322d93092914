"""Exact assignment of users to cells that have a limited number of places.

Minimise ``sum over u of cost[u, a[u]]`` such that at most ``capacity[k]`` users have ``a[u] = k``: the
transportation problem, which is the Hungarian method's task with capacities. Its dual has one price for
each cell (D. P. Bertsekas, "Network Optimization", Athena Scientific 1998, chapters 4 and 7),

``max over v >= 0 of  sum over u of min over k of (cost[u, k] + v[k])  -  sum over k of v[k] capacity[k]``

and at the right prices everybody may take the cell of least cost plus price without being in anyone's way:

1. Prices are found on samples of the users, small ones first, by Newton's method: how fast the load
   of a cell falls with its price is the number of users indifferent between it and others.
2. The same is done for all users, of whom only the links are listed that may matter near those prices.
3. The few users still in excess move along shortest paths over the cells (successive shortest paths, as
   many as possible at a time), which keeps prices and assignment proofs of each other's optimality.
4. Links that were not listed are shown to be of no use, or else are listed, and step 3 is repeated.

Steps 1 and 2 only save time: whatever they find, 3 and 4 end with the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int32, Int64

from mndt.errors import InputError

if TYPE_CHECKING:
    from mndt.network._assignment import Lists

Array = np.ndarray

_LARGEST: Final = 1e15
"""Costs of greater magnitude leave too few digits for sums of them."""
_FAR: Final = 1e30
"""Limit of a price that has none."""
_CLOSED: Final = 1e18
"""Price of a cell without places while others are looked for."""


@dataclass(frozen=True)
class Assignment:
    """Who goes where, and the proof that nothing is cheaper."""

    cell: Int32[Array, "users"]  # -1: no link of this user is allowed (only with `least_overload`)
    price: Float64[Array, "cells"]  # what one place more would save, in units of cost
    cost: float  # sum of the costs of the links taken
    bound: float  # value of the dual: no assignment with as little overload costs less
    overload: Int32[Array, "cells"]  # users beyond the capacity; 0 without `least_overload`


def assign(
    cost: Float[Array, "users cells"], capacity: Int[Array, "cells"], *, least_overload: bool = False
) -> Assignment:
    """The assignment of least total cost in which no cell holds more users than it has places.

    Args:
        cost: in any unit, float32 or float64; infinite where a link is not allowed. Only read, and not
            copied as long as rows are contiguous and each user has an allowed link.
        capacity: places of each cell.
        least_overload: where places do not suffice, exceed capacities by as few users in total as
            possible, and among such assignments take the cheapest; users without any allowed link get
            cell -1. Otherwise both are errors.

    Returns:
        The optimum with its certificate: ``cost - bound`` is 0 up to rounding, and
        ``bound = sum(min(cost + price, axis=1)) - sum(price * capacity)`` proves it to anyone. Prices
        are at least 0, with more users than places at most 0. (Where forbidden links alone force an
        overload, it counts in the sum like places.)

    Raises:
        InputError: shapes that do not fit, costs that are no numbers, no feasible assignment.

    Two users like cell 0, which has one place; moving the first one costs less:

    >>> found = assign(np.array([[1.0, 2.0], [1.0, 4.0], [9.0, 1.0]]), np.array([1, 2]))
    >>> found.cell.tolist(), found.cost, found.bound, found.price.tolist()
    ([1, 0, 1], 4.0, 4.0, [1.0, 0.0])
    """
    cost, places = _checked(cost, capacity)
    n_users, n_cells = cost.shape
    crowded = n_users > places.sum()
    if crowded and not least_overload:
        raise InputError(
            "capacity", f"{places.sum()} places for {n_users} users", allowed="at least a place for each user",
            fix="add places, or ask for the least overload with least_overload=True",
        )  # fmt: skip
    if n_users == 0 or n_cells == 0:
        return Assignment(np.full(n_users, -1, np.int32), np.zeros(n_cells), 0.0, 0.0, np.zeros(n_cells, np.int32))
    try:
        found = _solve(cost, places, _Limits(-_FAR, 0.0, True) if crowded else _Limits(0.0, _FAR, False))
    except _UnusualError:
        return _assign_unusual(cost, places, least_overload)
    assert found is not None  # with all links allowed and a place for everyone there is a solution
    return found


def _checked(cost: Array, capacity: Array) -> tuple[Array, Int64[Array, "cells"]]:
    """Costs in contiguous rows of floats, and places of which no more count than there are users."""
    cost, capacity = np.asarray(cost), np.asarray(capacity)
    if cost.ndim != 2 or capacity.shape != cost.shape[1:]:
        raise InputError(
            "capacity", f"of shape {capacity.shape}", allowed="one number for each column of cost",
            fix=f"cost has the shape {cost.shape}",
        )  # fmt: skip
    if capacity.dtype.kind not in "iu" and capacity.size:
        raise InputError("capacity", f"of type {capacity.dtype}", allowed="whole numbers", fix="round them down")
    if (capacity < 0).any():
        raise InputError("capacity", int(capacity.min()), allowed="0 or more", fix="a closed cell has 0 places")
    kind = np.float32 if cost.dtype == np.float32 else np.float64
    return np.ascontiguousarray(cost, kind), np.minimum(capacity, len(cost)).astype(np.int64)


class _UnusualError(Exception):
    """Some costs are infinite, not a number, or so large that they have to be looked at."""


class _Limits(NamedTuple):
    """Of the prices. A cell at `low` may have free places, one at `top` more users than places."""

    low: float
    top: float
    crowded: bool  # more users than places


def _assign_unusual(cost: Array, places: Array, least_overload: bool) -> Assignment:
    """As `assign`, where some costs are infinite or large."""
    allowed = np.isfinite(cost)
    if (cost[~allowed] != np.inf).any() or np.abs(cost, where=allowed, out=np.zeros_like(cost)).max() > _LARGEST:
        raise InputError(
            "cost", "not a number, minus infinity or enormous", allowed=f"up to {_LARGEST:g}, or inf for no link",
            fix="look for gaps in the map the costs come from",
        )  # fmt: skip
    linked = allowed.any(axis=1)
    if not least_overload and not linked.all():
        raise InputError(
            "cost", f"without an allowed link for {(~linked).sum()} users", allowed="at least one for each",
            fix="leave these users out, or pass least_overload=True",
        )  # fmt: skip
    if not linked.all():
        part = assign(cost[linked], places, least_overload=True)
        cell = np.full(len(cost), -1, np.int32)
        cell[linked] = part.cell
        return replace(part, cell=cell)
    limits = _Limits(0.0, _FAR, False)
    if least_overload:  # one user less in excess is worth more than any chain of relocations
        extent = float(cost.max(where=allowed, initial=-_LARGEST) - cost.min(where=allowed, initial=_LARGEST))
        limits = _Limits(0.0, (len(places) + 2) * extent + 1.0, len(cost) > places.sum())
    found = _solve(cost, places, limits, usual=False)
    if found is None:
        raise InputError(
            "capacity", "too small for the allowed links", allowed="an allowed place for each user",
            fix="add places or links, or ask for the least overload with least_overload=True",
        )  # fmt: skip
    return found


class _Scope(NamedTuple):
    """How far to look. Lengths are in units of a typical distance between values."""

    window: float  # in which users count as indifferent
    margin: float  # within which links are listed
    most: int  # links listed for a user


_AT_FIRST: Final = _Scope(window=1.0, margin=3.0, most=128)  # in gaps between a user's best and second link
_AFTER_FEW: Final = _Scope(window=0.5, margin=2.0, most=64)  # in gaps
_AFTER_MANY: Final = _Scope(window=1.2, margin=7.0, most=32)  # in doubts, see `_Balance.doubts`
_WHEN_CALM: Final = _Scope(window=0.2, margin=0.5, most=32)  # in gaps


def _solve(cost: Array, places: Array, limits: _Limits, usual: bool = True) -> Assignment | None:
    """The optimum; None where there is no feasible assignment. `usual`: stop where costs are not."""
    n_users, n_cells = cost.shape
    price = np.full(n_cells + 1, limits.top if limits.crowded else limits.low)
    price[-1] = 0.0  # of the ground
    if limits.top == _FAR:  # nobody may go to a closed cell: keep it out of sight
        price[:-1][places == 0] = _CLOSED
    probe = _Links(cost, _sample(n_users, -(-n_users // 64)), price, _FAR, n_cells, usual=usual)
    gap = max(1.5 * probe.choose(np.arange(len(probe.user)), price), 1e-9)
    scope, unit, lowest, strides = _AT_FIRST, gap, price, _strides(n_users, n_cells)
    for level, stride in enumerate(strides):
        user = _sample(n_users, stride)
        links = _Links(cost, user, price, unit * scope.margin, scope.most, lowest=lowest, usual=usual)
        share = _share(places, stride, limits.crowded)
        soft = 0.5 * np.sqrt(share) if stride > 1 and level == 0 and not limits.crowded else np.zeros(n_cells)
        places_now = share + np.rint(soft).astype(np.int64)  # where users are few, prices would overshoot
        found = links.balance(places_now, limits, unit * scope.window, price)
        if stride == 1:
            break
        if found.after > 0.5 * n_cells + 0.1 * len(user):  # prices of no use: find those of the sample exactly
            links.settle(share, limits, price)
        if found.before <= 0.01 * len(user):
            scope, unit, lowest, strides[level + 1 :] = _WHEN_CALM, gap, price, [1]
            continue
        doubts, mean = found.doubts(len(user))
        scope, unit = (_AFTER_FEW, gap) if len(user) < 4 * n_cells else (_AFTER_MANY, mean)
        excess = np.clip(3.0 * (doubts - mean), 0.0, unit * scope.margin)
        lowest = price - np.append(np.where(price[:-1] > limits.low, excess, 0.0), 0.0)
    over = links.settle(places, limits, price)
    return None if over is None else _certified(links, places, limits, price[:-1], over)


def _strides(n_users: int, n_cells: int) -> list[int]:
    """Of the samples, level by level: every how manieth user; 1 at last."""
    strides, stride = [1], 4
    while n_users // stride >= max(200, 1.3 * n_cells):
        strides.insert(0, stride)
        stride *= 8
    return strides


def _sample(n_users: int, stride: int) -> Int64[Array, "some"]:
    """One user of every `stride` in a row, not always the same one: a hash of the place picks it."""
    block = np.arange(n_users // stride)
    if stride == 1:
        return block
    jitter = (block.astype(np.uint32) * np.uint32(2654435769)) >> np.uint32(16)
    return block * stride + ((jitter.astype(np.int64) * stride) >> 16)


def _share(places: Int64[Array, "cells"], stride: int, crowded: bool) -> Int64[Array, "cells"]:
    """Places of the cells for a sample, so that their sum is neither too small nor, `crowded`, too large."""
    if stride == 1:
        return places
    total = np.concatenate([[0], np.cumsum(places)])
    return np.diff(total // stride if crowded else -(-total // stride))


class _Balance(NamedTuple):
    """What Newton's method on the prices achieved."""

    before: float  # misplaced users at first
    after: float  # and at last
    window: float
    near: Float64[Array, "cells"]  # pairs of a user within the window and the cell

    def doubts(self, n_users: int) -> tuple[Float64[Array, "cells"], float]:
        """How far prices of a sample may be off those of all users: of each cell, of an average one.

        A load of n varies from sample to sample by the root of n, and the price follows: the further,
        the fewer users are near.
        """
        noise = 2.0 * self.window * (n_users / len(self.near)) ** 0.5
        return noise / (self.near + 1.0), noise / max(float(self.near.mean()), 1.0)


class _Links:
    """The links of some users that may matter at some prices, and who holds which. Names as in `_assignment`."""

    def __init__(
        self, cost: Array, user: Array, price: Array, margin: float, most: int, *, lowest: Array | None = None,
        usual: bool = False,
    ) -> None:  # fmt: skip
        n, n_cells = len(user), cost.shape[1]
        self.cost, self.user, self.margin, self.most = cost, user, margin, min(most, n_cells)
        self.first, self.last, self.pick = (np.empty(n, np.int64) for _ in range(3))
        self.cell, self.link_cost, self.reach = np.empty(0, np.int32), np.empty(0), np.empty(n)
        self.end, self.size = 0, np.zeros(1)
        self._list(np.arange(n), price, price if lowest is None else lowest)
        if usual and not self.size[0] < _LARGEST:
            raise _UnusualError

    def _list(self, slot: Int64[Array, "some"], price: Array, lowest: Array) -> None:
        """List the links of these slots anew."""
        from mndt.network import _assignment

        room = self.end + len(slot) * self.most + self.cost.shape[1]
        if room > len(self.cell):
            old = self.cell, self.link_cost
            self.cell, self.link_cost = np.empty(room, np.int32), np.empty(room)
            self.cell[: self.end], self.link_cost[: self.end] = old[0][: self.end], old[1][: self.end]
        self.end = _assignment.list_links(
            self.cost[:, None], self.user[slot], slot, price, lowest, self.margin, self.most, self.end, self.lists,
            self.reach, self.size,
        )  # fmt: skip
        self.listed_at, self.drop = price.copy(), 0.0

    def _widen(self) -> bool:
        """From now on list more; False: there is no more."""
        n_cells = self.cost.shape[1]
        if self.margin >= _FAR and self.most >= n_cells:
            return False
        self.margin, self.most = (4.0 * self.margin, 4 * self.most) if 4 * self.most < n_cells else (_FAR, n_cells)
        return True

    @property
    def lists(self) -> Lists:
        from mndt.network import _assignment

        return _assignment.Lists(self.first, self.last, self.cell, self.link_cost)

    def choose(self, slot: Int64[Array, "some"], price: Array, home: Int32[Array, "slots"] | None = None) -> float:
        """These slots pick the best, `home` where that is as good; returns by how much on average."""
        from mndt.network import _assignment

        held = np.full(len(self.user), -1, np.int32) if home is None else home
        return float(_assignment.choose(slot, held, self.lists, price, self.pick))

    def balance(self, places: Array, limits: _Limits, window: float, price: Array) -> _Balance:
        """Move prices so that users who all take their best link nearly fit."""
        from mndt.network import _assignment

        units, near = np.zeros(2), np.empty(len(places))
        window = _assignment.balance(self.lists, places, *limits, window, 8, price, self.pick, units, near)
        price[price >= 0.5 * _CLOSED] = _CLOSED
        return _Balance(float(units[0]), float(units[1]), float(window), near)

    def settle(self, places: Array, limits: _Limits, price: Array) -> Int64[Array, "cells"] | None:
        """From nearly right prices to the optimum for these users: its overload; None: nothing is feasible."""
        from mndt.network import _assignment, _assignment_paths

        over, some, near = np.zeros(len(price), np.int64), np.empty(len(self.user), np.int64), 0.15 * self.margin
        while True:
            near = min(near, _FAR)
            done = _assignment_paths.repair(self.lists, places, limits.low, limits.top, near, price, self.pick, over)
            price[price >= 0.5 * _CLOSED] = _CLOSED  # where rounding has touched it
            if not done:
                if near < self.margin:  # links that are listed may still help
                    near *= 4.0
                elif self._widen():
                    self._list_again(np.arange(len(self.user)), price)
                else:
                    return None
                continue
            drop = self.drop + float((self.listed_at - price).max())
            n = _assignment.undercut(self.cost, self.user, price, drop, self.reach, self.lists, self.pick, some)
            if n == 0:
                return over[:-1]
            near = 0.15 * self.margin
            self._widen()
            self._list_again(some[:n], price)
            self.reach[some[:n]] += drop
            self.drop = drop

    def _list_again(self, slot: Int64[Array, "some"], price: Array) -> None:
        """List links anew; users stay where they are unless there is better."""
        home = self.cell[self.pick]
        self.end = 0 if len(slot) == len(self.user) else self.end
        self._list(slot, price, price)
        self.choose(slot, price, home)


def _certified(links: _Links, places: Array, limits: _Limits, price: Array, over: Array) -> Assignment:
    """The answer, with the value of the dual written so that large prices cancel."""
    cell, taken = links.cell[links.pick], links.link_cost[links.pick]
    closed = np.flatnonzero(price >= _CLOSED)
    if len(closed):  # the least price at which nobody would want to go there
        value = taken + price[cell]
        price[closed] = np.maximum((value[:, None] - links.cost[:, closed]).max(axis=0), limits.low)
    cost, spare = float(taken.sum()), places + over - np.bincount(cell, minlength=len(places))
    bound = cost - float((price * spare).sum()) + float(((price - limits.top) * over).sum())
    if limits.crowded and not spare.any():
        price = price - limits.top
    return Assignment(cell, price, cost, bound, over.astype(np.int32))
