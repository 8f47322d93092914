"""Exact assignment of users to cells that have a limited number of places.

Minimise ``sum over u of cost[u, a[u]]`` such that at most ``capacity[k]`` users have ``a[u] = k``: the
transportation problem, the Hungarian method's task with capacities. Its dual has one price for each cell,

``max over v >= 0 of  sum over u of min over k of (cost[u, k] + v[k])  -  sum over k of v[k] capacity[k]``

(D. P. Bertsekas, "Network Optimization", Athena Scientific 1998, ch. 7): given the right prices everybody
takes the cell of least cost plus price, and nobody is in the way of anybody else. So

1. prices are found on samples of the users, small ones first, by Newton's method: how fast the load of
   a cell falls with its price is the number of users indifferent between it and others;
2. the same is done for all users, of whom only links that may matter at those prices are listed;
3. the few users still in excess move along shortest paths over the cells (successive shortest paths,
   many of them at a time), which keeps prices and assignment a pair that proves each other optimal;
4. every link that was not listed is shown to be of no use, or else listed, and step 3 repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int32, Int64

from mndt.errors import InputError

Array = np.ndarray

_LARGEST: Final = 1e15
"""Costs of greater magnitude leave too few digits for sums of them."""
_FAR: Final = 1e30
"""Limit of a price that has none."""
_MOST_LINKS: Final = 32
"""Links listed for a user at first; the number grows where it does not suffice."""


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
        cost: in any unit, float32 or float64; infinite where a link is not allowed. Read, never copied,
            as long as rows are contiguous and all links allowed. Rows need not be sorted in any way.
        capacity: places of each cell.
        least_overload: where places do not suffice, exceed capacities by as few users in total as
            possible, and among such assignments take the cheapest; users without any allowed link get
            cell -1. Otherwise both are errors.

    Returns:
        The optimum with its certificate: ``cost - bound`` is 0 up to rounding, and
        ``bound = sum(min(cost + price, axis=1)) - sum(price * capacity)`` proves it to anyone. Prices
        are at least 0; with more users than places at most 0 instead. (Where forbidden links alone
        force an overload, it counts in the sum as places that exist.)

    Raises:
        InputError: shapes that do not fit, costs that are no numbers, no feasible assignment.

    Two users like cell 0, which has one place; moving the first one costs less:

    >>> found = assign(np.array([[1.0, 2.0], [1.0, 4.0], [9.0, 1.0]]), np.array([1, 2]))
    >>> found.cell.tolist(), found.cost, found.bound, found.price.tolist()
    ([1, 0, 1], 4.0, 4.0, [1.0, 0.0])
    """
    cost, places = _checked(cost, capacity)
    n_users, n_cells = cost.shape
    if n_users > places.sum() and not least_overload:
        raise InputError(
            "capacity", f"{places.sum()} places for {n_users} users", allowed="at least a place for each user",
            fix="add places, or ask for the least overload with least_overload=True",
        )  # fmt: skip
    if n_users == 0 or n_cells == 0:
        return Assignment(np.full(n_users, -1, np.int32), np.zeros(n_cells), 0.0, 0.0, np.zeros(n_cells, np.int32))
    try:
        crowded = n_users > places.sum()
        found = _solve(cost, places, _Limits(-_FAR, 0.0, True) if crowded else _Limits(0.0, _FAR, False))
    except _Unusual:
        return _assign_unusual(cost, places, least_overload)
    assert found is not None  # with all links allowed and places for all there is a solution
    return found


def _checked(cost: Array, capacity: Array) -> tuple[Array, Int64[Array, "cells"]]:
    """Costs in contiguous rows of floats, and places of which no more count than there are users."""
    cost, capacity = np.asarray(cost), np.asarray(capacity)
    if cost.ndim != 2 or capacity.shape != cost.shape[1:]:
        raise InputError(
            "capacity", f"of shape {capacity.shape}", allowed="a number for each column of cost",
            fix=f"cost has the shape {cost.shape}",
        )  # fmt: skip
    if capacity.dtype.kind not in "iu" and capacity.size:
        raise InputError("capacity", f"of type {capacity.dtype}", allowed="whole numbers", fix="round them down")
    if (capacity < 0).any():
        raise InputError("capacity", int(capacity.min()), allowed="0 or more", fix="a closed cell has 0 places")
    kind = np.float32 if cost.dtype == np.float32 else np.float64
    return np.ascontiguousarray(cost, kind), np.minimum(capacity, len(cost)).astype(np.int64)


class _Unusual(Exception):
    """Some costs are infinite, not a number, or so large that they have to be looked at."""


class _Limits(NamedTuple):
    """Of the prices. A cell at `low` may have free places, one at `top` more users than places."""

    low: float
    top: float
    crowded: bool  # more users than places


def _assign_unusual(cost: Array, places: Array, least_overload: bool) -> Assignment:
    """As `assign`, for costs among which something is not finite, or large."""
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


class _Links:
    """The links of some users that may matter at some prices. Names as in `_assignment`."""

    def __init__(self, cost: Array, user: Array, price: Array, margin: float, most: int) -> None:
        n = len(user)
        self.cost, self.user = cost, user
        self.first, self.last, self.pick, self.reach = (np.empty(n, kind) for kind in (int, int, int, float))
        self.cell, self.link_cost = np.empty(0, np.int32), np.empty(0)
        self.end, self.size = 0, np.zeros(1)
        self.list(np.arange(n), price, margin, most)

    def list(self, slot: Int[Array, "some"], price: Array, margin: float, most: int) -> None:
        """List the links of these slots anew."""
        from mndt.network import _assignment

        room = self.end + len(slot) * min(most, self.cost.shape[1]) + self.cost.shape[1]
        if room > len(self.cell):
            old = self.cell, self.link_cost
            self.cell, self.link_cost = np.empty(room, np.int32), np.empty(room)
            self.cell[: self.end], self.link_cost[: self.end] = old[0][: self.end], old[1][: self.end]
        self.end = _assignment.list_links(
            self.cost, self.user[slot], slot, price, margin, most, self.end, self.first, self.last, self.cell,
            self.link_cost, self.reach, self.size,
        )  # fmt: skip

    @property
    def lists(self) -> tuple[Array, ...]:
        return self.first, self.last, self.cell, self.link_cost

    def choose(self, slot: Int[Array, "some"], price: Array) -> float:
        """These slots pick the best; returns by how much on average."""
        from mndt.network import _assignment

        return _assignment.choose(slot, *self.lists, price, self.pick)


def _solve(cost: Array, places: Array, limits: _Limits, usual: bool = True) -> Assignment | None:
    """The optimum; None where there is no feasible assignment."""
    from mndt.network import _assignment

    n_users, n_cells = cost.shape
    price = np.zeros(n_cells + 1)  # the last one is the ground's
    price[:-1] = limits.top if limits.crowded else limits.low
    units, window = np.zeros(2), 0.0
    margin, most = _FAR, n_cells
    strides = _strides(n_users, n_cells)
    while strides:
        stride = strides.pop()
        user = _sample(n_users, stride)
        links = _Links(cost, user, price, margin, most)
        if usual and not links.size[0] < _LARGEST:
            raise _Unusual
        if window == 0.0:
            window = max(1.5 * links.choose(np.arange(min(64, len(user))), price), 1e-9)
        window = _assignment.balance(
            *links.lists, _share(places, stride, limits.crowded), *limits, window, 8, 2, price, links.pick, units,
        )  # fmt: skip
        if units[0] <= 0.01 * len(user):
            strides = strides[:1]
        margin, most = 4.0 * window, _MOST_LINKS
    return _finish(links, places, limits, price, margin, most)


def _strides(n_users: int, n_cells: int) -> list[int]:
    """Every how manieth user is in the sample, last one first."""
    strides, stride = [1], 4
    while n_users // stride >= max(200, 1.3 * n_cells):
        strides.append(stride)
        stride *= 8
    return strides


def _sample(n_users: int, stride: int) -> Int64[Array, "some"]:
    """One user of every `stride`, not always the same one in a row: a hash of the place picks it."""
    if stride == 1:
        return np.arange(n_users)
    block = np.arange(n_users // stride)
    jitter = (block.astype(np.uint32) * np.uint32(2654435769)) >> np.uint32(16)
    return block * stride + ((jitter.astype(np.int64) * stride) >> 16)


def _share(places: Int64[Array, "cells"], stride: int, crowded: bool) -> Int64[Array, "cells"]:
    """Places of the cells for a sample, so that their sum is neither too small nor, `crowded`, too large."""
    total = np.concatenate([[0], np.cumsum(places)])
    return np.diff(total // stride if crowded else -(-total // stride))


def _finish(links: _Links, places: Array, limits: _Limits, price: Array, margin: float, most: int) -> Assignment | None:
    """From nearly right prices to the optimum; None where there is no feasible assignment."""
    from mndt.network import _assignment

    n_cells = len(places)
    everyone, less = np.arange(len(links.pick)), np.empty(len(links.pick), np.int64)
    over, units = np.zeros(n_cells + 1, np.int64), np.zeros(2)
    listed_at, drop = price.copy(), 0.0
    while True:
        done = _assignment.repair(*links.lists, places, limits.low, limits.top, price, links.pick, over)
        if not done and most >= n_cells and margin >= _FAR:
            return None
        if done:
            drop, listed_at = drop + float((listed_at - price).max()), price.copy()
            n = _assignment.undercut(
                links.cost, links.user, price, drop, links.reach, links.cell, links.link_cost, links.pick, less
            )
            if n == 0:
                break
        margin, most = (8.0 * margin, 4 * most) if 4 * most < n_cells else (_FAR, n_cells)
        if done:
            links.list(less[:n], price, margin, most)
            links.reach[less[:n]] += drop
            links.choose(less[:n], price)
        else:
            links = _Links(links.cost, links.user, price, margin, most)
            _assignment.balance(*links.lists, places, *limits, margin / 8.0, 8, 2, price, links.pick, units)
            listed_at, drop = price.copy(), 0.0
    return _certified(links, places, limits, price[:-1], over[:-1])


def _certified(links: _Links, places: Array, limits: _Limits, price: Array, over: Array) -> Assignment:
    """The answer, with the value of the dual in which large prices cancel."""
    cell = links.cell[links.pick]
    cost = float(links.link_cost[links.pick].sum())
    spare = places + over - np.bincount(cell, minlength=len(places))
    bound = cost - float((price * spare).sum()) + float(((price - limits.top) * over).sum())
    if limits.crowded and not spare.any():
        price = price - limits.top
    return Assignment(cell, price, cost, bound, over.astype(np.int32))
