"""The diary of people who do not exist, by rules, in the geography and on the days of an observed one."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np

from mndt.formats.diary import Diary
from mndt.users.day_plans import People, Region, Steps, day_plans, settle
from mndt.users.matching import match
from mndt.users.modes import policy_of
from mndt.users.places import Gravity
from mndt.users.population import UserParameters
from mndt.users.schedule_events import observed_days
from mndt.users.schedule_fit import activities
from mndt.users.schedule_laws import ScheduleLaws, classes
from mndt.users.schedule_statistics import TripTable

Array = np.ndarray
DAY_S: Final = 86_400

MOST_PLACES: Final = 1400
"""Places of the diary that serve as areas; with more, those visited more are kept more likely."""


def rule_diary(
    diary: Diary, laws: ScheduleLaws, n: int, rng: np.random.Generator, parameters: UserParameters | None = None
) -> TripTable:
    """Trips of `n` people by rules.

    Args:
        diary: whose places, homes and days of observation are used.
        laws: of the schedules.
        n: people; they live and are observed as the people of the diary, each equally often.
        rng: draws everything.
        parameters: for what the laws leave open.
    """
    parameters = parameters or UserParameters()
    region, kept, home_row = _region(diary, laws, parameters, rng)
    who = np.resize(rng.permutation(diary.n_persons), n)
    home = home_row[who]
    works, studies = classes(laws)
    u = rng.random(n)
    kind = np.where(u < works, 1, np.where(u < works + studies, 2, 0)).astype(np.int32)
    none = np.zeros(n, bool)
    people = settle(home, kind, none, none, region, rng)
    modes = policy_of(laws, parameters)
    days = observed_days(diary)
    parts = []
    for day in np.unique(days[:, 1]):
        seen = np.zeros(diary.n_persons, bool)
        seen[days[days[:, 1] == day, 0]] = True
        rows = np.flatnonzero(seen[who])
        if not len(rows):
            continue
        some = People(**{f.name: getattr(people, f.name)[rows] for f in fields(People)})
        steps, _ = day_plans(some, region, laws, parameters, modes, weekend=day % 7 >= 5, rng=rng)
        parts.append((rows[steps.user], steps, int(day)))
    return _table(parts, diary.place_x_m[kept], diary.place_y_m[kept])


def _region(
    diary: Diary, laws: ScheduleLaws, parameters: UserParameters, rng: np.random.Generator
) -> tuple[Region, Array, Array]:
    """The diary's places as areas, which of them are kept, and the row of every person's home."""
    acts, n = activities(diary), len(diary.place_x_m)
    mass = {
        letter: np.bincount(diary.to_place[acts.letter == letter], minlength=n).astype(float) for letter in "WSO"
    } | {"H": np.bincount(acts.home, minlength=n).astype(float)}
    has = acts.main >= 0
    study = np.bincount(diary.person[acts.letter == "S"], minlength=diary.n_persons) > 0
    mass["W"] = np.bincount(acts.main[has & ~study], minlength=n).astype(float)
    mass["S"] = np.bincount(acts.main[has & study], minlength=n).astype(float)
    weight = mass["O"] + mass["W"] + mass["S"]
    kept = np.flatnonzero(mass["H"] > 0)[:MOST_PLACES]
    others = np.setdiff1d(np.flatnonzero(weight > 0), kept)
    room = max(MOST_PLACES - len(kept), 200)
    if len(others) > room:
        others = rng.choice(others, size=room, replace=False, p=weight[others] / weight[others].sum())
    kept = np.sort(np.concatenate([kept, others]))
    row = np.zeros(n, np.int32)
    row[kept] = np.arange(len(kept))
    x, y = diary.place_x_m[kept], diary.place_y_m[kept]
    mass = {letter: values[kept] for letter, values in mass.items()}
    if not mass["O"].any():
        mass["O"] = mass["H"]
    gravity = Gravity(x, y, mass, laws.gravity.get("O", parameters.gravity_exponent))
    near = _spacing(x, y)
    home = np.where(np.isin(acts.home, kept), row[acts.home], 0).astype(np.int32)
    exponent = laws.gravity.get("W", parameters.gravity_exponent)
    region = Region(
        gravity,
        match(x, y, near**2, mass["H"], mass["W"], exponent),
        match(x, y, near**2, mass["H"], mass["S"], laws.gravity.get("S", exponent)),
    )
    return region, kept, home


def _spacing(x: Array, y: Array) -> Array:
    """Distance to the nearest other place, in the place of an area's extent."""
    from scipy.spatial import cKDTree

    if len(x) < 2:
        return np.full(len(x), 100.0)
    xy = np.column_stack([x, y])
    return np.asarray(np.maximum(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1], 10.0))


def _table(parts: list[tuple[Array, Steps, int]], x: Array, y: Array) -> TripTable:
    if not parts:
        e = np.zeros(0)
        return TripTable(e.astype(np.int32), e, e, e, e, e, e)
    person = np.concatenate([rows for rows, _, _ in parts])
    depart = np.concatenate([steps.departure_s + float(day * DAY_S) for _, steps, day in parts])
    lasts = np.concatenate([steps.duration_s for _, steps, _ in parts])
    origin, target = (np.concatenate([getattr(s, name) for _, s, _ in parts]) for name in ("from_area", "to_area"))
    order = np.lexsort((depart, person))
    person, depart, lasts, origin, target = (v[order] for v in (person, depart, lasts, origin, target))
    return TripTable(person.astype(np.int32), depart, depart + lasts, x[origin], y[origin], x[target], y[target])
