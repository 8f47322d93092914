"""Who is which row does not matter: permuting users permutes what each of them gets.

It holds to the bit without fading, which is drawn by row; without the schedulers `random`, which draws by
row too, and `round-robin`, which takes turns by row; under Shannon's law, for the tables of others give
several users the same rate; and without ties, which go by row: no two active users here hear a cell
equally well or have the same rate in it. The exact assignment may choose among optima: what they cost
is the same.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import little_town
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from little_town import N_USERS, Second, Sketch, Town, sketches
from rules import arrays

from mndt.network import energy
from mndt.network.association import associate
from mndt.network.incidents import settings_at
from mndt.radio.channel import Expected, Links, rank_weights
from mndt.state import Action, Allocation, Kpis

BY_USER = ("nearest", "strongest", "a3", "array"), ("proportional-fair", "max-rate", "rate-need", "array")
SHUFFLES = st.integers(0, 2**32 - 1)


def order_of(shuffle: int) -> np.ndarray:
    return np.random.default_rng(shuffle).permutation(N_USERS)


def permuted(thing: Any, order: np.ndarray) -> Any:
    """The same with the users' rows in another order: arrays of as many rows as there are users, and names of users."""
    if isinstance(thing, Allocation | Action):
        name = "user_of_block" if isinstance(thing, Allocation) else "blocks"
        holder = getattr(thing, name)
        if isinstance(holder, np.ndarray):
            thing = replace(thing, **{name: np.append(np.argsort(order), -1).astype(np.int32)[holder]})
    if is_dataclass(thing):
        return replace(thing, **{f.name: permuted(getattr(thing, f.name), order) for f in fields(thing) if f.init})
    return thing[order] if isinstance(thing, np.ndarray) and thing.shape[:1] == (N_USERS,) else thing


def links_of(second: Second) -> Links:
    """As the engine sees them, with the cells that can serve in this second."""
    able = settings_at(second.world.incidents, second.settings, second.state.time_s)
    status = energy.advance(second.world.energy, second.state.power, able.status)[1]
    return second.world.channel.links(second.users, replace(able, status=status), np.uint32(0))


def without_ties(second: Second) -> Second:
    """Of users that hear some cell equally well, or have it equally far, only the first has something to receive."""
    city, users = second.world.city, second.users
    at_m = zip(city.sites.x_m, city.sites.y_m, strict=True)
    ways_mm = [np.rint(1e3 * np.hypot(users.x_m - x_m, users.y_m - y_m)) for x_m, y_m in at_m]
    unlike = np.ones(N_USERS, bool)
    for values in (*links_of(second).level.T, *ways_mm, links_of(second).rank >> 15):
        first = np.zeros(N_USERS, bool)
        first[np.unique(values, return_index=True)[1]] = True
        unlike &= first
    return quiet(second, ~unlike)


def without_equal_rates(second: Second) -> Second:
    """Of a cell's users with almost the same rate, which float32 may round to one, only the first has anything to
    receive: near the border of two sectors, or far below the interference, that is many."""
    links = links_of(second)
    spent_w = second.state.allocation.power_w.sum(axis=1)
    load_w = np.divide(spent_w, links.blocks, out=np.zeros_like(spent_w), where=links.blocks > 0)  # asleep: silent
    for _ in range(5):
        after, kpis = second.serve()
        serving = np.where(kpis.user_active, after.serving, -1).astype(np.int32)
        sinr = Expected(links, links.received_w(serving, load_w.astype(np.float32))).sinr
        rate = np.log2(1.0 + sinr.astype(np.float64))
        order = np.lexsort((rate, serving))
        alike = (np.diff(rate[order]) < 2e-6) & (np.diff(serving[order]) == 0) & (serving[order][1:] >= 0)
        if not alike.any():
            return second
        second = quiet(second, np.isin(np.arange(N_USERS), order[1:][alike]))
    return quiet(second, np.ones(N_USERS, bool))


def quiet(second: Second, rows: np.ndarray) -> Second:
    """The same second in which these users have nothing to receive."""
    demand = replace(second.demand, bits=np.where(rows, np.float32(0.0), second.demand.bits))
    state = replace(second.state, buffer_bits=np.where(rows, np.float32(0.0), second.state.buffer_bits))
    return replace(second, demand=demand, state=state)


@settings(max_examples=30, deadline=None)
@given(sketch=sketches(*BY_USER, law=("shannon",)), shuffle=SHUFFLES)
def test_permuting_users_permutes_what_they_get(still_town: Town, sketch: Sketch, shuffle: int) -> None:
    somebody = {"absent": min(sketch.absent, 0.3), "on": max(sketch.on, 0.6), "load_bits": max(sketch.load_bits, 1e3)}
    sketch = replace(sketch, crowded=False, **somebody)
    second = without_equal_rates(without_ties(little_town.make(still_town, sketch)))
    order, parts = order_of(shuffle), ("state", "users", "demand", "action")
    other = replace(second, **{name: permuted(getattr(second, name), order) for name in parts})
    (after, kpis), (after_other, kpis_other) = second.serve(), other.serve()
    found = arrays(after_other)
    for path, values in arrays(permuted(after, order)).items():
        np.testing.assert_array_equal(found[path], values, path)
    same_kpis(kpis, kpis_other, order)


def same_kpis(kpis: Kpis, other: Kpis, order: np.ndarray) -> None:
    """Users' KPIs follow their rows, to the bit; sums over users are the same but for the order of adding up."""
    for field in fields(Kpis):
        one, two = getattr(kpis, field.name), getattr(other, field.name)
        if field.name.startswith("user_"):
            np.testing.assert_array_equal(two, one[order], field.name)
        elif field.name != "mobility":
            np.testing.assert_allclose(two, one, rtol=1e-6, err_msg=field.name)
    assert entries(kpis, np.arange(N_USERS)) == entries(other, order)


def entries(kpis: Kpis, name: np.ndarray) -> list[tuple[int, ...]]:
    """The log of handovers, with users' names for their rows."""
    log = kpis.mobility
    return sorted(zip(log.offset_ms, name[log.user], log.kind, log.from_cell, log.to_cell, log.ping_pong, strict=True))


@settings(max_examples=20, deadline=None)
@given(sketch=sketches(("exact",)), shuffle=SHUFFLES)
def test_permuting_users_leaves_the_least_loss_as_it_is(still_town: Town, sketch: Sketch, shuffle: int) -> None:
    second, order = little_town.make(still_town, sketch), order_of(shuffle)
    costs = []
    for rows in (np.arange(N_USERS), order):
        links = links_of(replace(second, users=permuted(second.users, rows)))
        active = (second.demand.bits > 0)[rows]
        plan = associate("exact", links=links, active=active, site_of_cell=second.world.city.cells.site)
        served = active & (plan >= 0)
        weight = rank_weights(links.even_power_w()) >> 15
        steps = (links.level >> 1)[served, plan[served]].astype(np.int64) + weight[plan[served]]
        costs.append((np.count_nonzero(served), int(steps.sum())))
    assert costs[0] == costs[1]
