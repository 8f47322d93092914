"""People who cross the city's box: rows of them, one after another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32

from mndt.city.model import City
from mndt.users.day_plans import Steps, planned_duration_s
from mndt.users.modes import ModePolicy
from mndt.users.places import gates, mass_of, pick
from mndt.users.population import DAY_S

Array = np.ndarray


def passer_steps(
    city: City,
    at: Int32[Array, "users"],
    passer: Bool[Array, "users"],
    modes: ModePolicy,
    rng: np.random.Generator,
) -> tuple[Steps, Int32[Array, "users"]]:
    """Row after row of people who cross the box between 5:00 and 24:00: gate to gate, or to a place and back.

    Each leg begins 30 s plus an exponential pause (mean 90 s) after the last one's planned end.

    Args:
        city: the box.
        at: where everyone is as the day begins.
        passer: who they are.
        modes: how they choose a mode.
        rng: draws the day.

    Returns:
        The day's trips, and where everyone is as it ends.
    """
    at = at.copy()
    user = np.flatnonzero(passer).astype(np.int32)
    if not len(user):
        return Steps.joined(), at
    gate_weight, jobs = gates(city).astype(float), mass_of(city, "W")
    x, y = np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)
    now = np.full(len(user), 5 * 3600, np.int64) + (rng.random(len(user)) * 600).astype(np.int64)
    legs: list[Steps] = []
    while len(user):
        here = at[user]
        target = pick(gate_weight, len(user), rng)
        visits = (rng.random(len(user)) < 0.5) & (gate_weight[here] > 0)
        target = np.where(visits, pick(jobs, len(user), rng), target)
        distance = np.hypot(x[target] - x[here], y[target] - y[here])
        mode = modes(distance, rng)
        duration = planned_duration_s(distance, mode)
        fits = now + duration < DAY_S
        go = fits & (target != here)
        legs.append(
            Steps(user[go], now[go].astype(np.int32), duration[go], here[go].astype(np.int32), target[go], mode[go])
        )
        at[user[go]] = target[go]
        pause = 30 + rng.exponential(90.0, len(user)).astype(np.int64)
        user, now = user[fits], (now + duration + pause)[fits]
    return Steps.joined(*legs), at
