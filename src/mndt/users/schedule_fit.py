"""Laws of the rule-based schedules fitted to a travel diary: shares counted, the rest by likelihood or moments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64, Int32, Int64, Shaped

from mndt.formats.diary import Diary
from mndt.users.day_plans import kind_of
from mndt.users.schedule_events import homes_of, observed_days
from mndt.users.schedule_laws import Normal, ScheduleLaws, Stay

Array = np.ndarray
DAY_S: Final = 86_400.0

MOST_CHAINS: Final = 40
"""Chains kept; each rarer one counts for the kept one most like it."""
LONGEST_CHAIN: Final = 24
FEW: Final = 10
"""With fewer observations a law keeps its published values."""


@dataclass(frozen=True)
class Activities:
    """What every trip of a diary leads to."""

    home: Int32[Array, "persons"]
    main: Int32[Array, "persons"]  # place of work or study, -1 none
    letter: Shaped[Array, "trips"]  # H, W, S or O
    from_letter: Shaped[Array, "trips"]
    day: Int64[Array, "trips"]


def activities(diary: Diary) -> Activities:
    """Letters from purposes; without them the place with the longest stays on weekdays is work."""
    home = homes_of(diary)
    main = _main_places(diary, home)
    is_home = diary.to_place == home[diary.person]
    study = np.bincount(diary.person, diary.purpose == 2, diary.n_persons) > np.bincount(
        diary.person, diary.purpose == 1, diary.n_persons
    )
    named = np.array(["H", "W", "S", "O", "?"])[diary.purpose]
    at_main = (diary.to_place == main[diary.person]) & ~is_home
    guessed = np.where(at_main, np.where(study[diary.person], "S", "W"), "O")
    letter = np.where(is_home, "H", np.where((named == "W") | (named == "S"), named, "O"))
    letter = np.where((named == "?") & ~is_home, guessed, letter)
    at_home = diary.from_place == home[diary.person]
    first = np.r_[True, diary.person[1:] != diary.person[:-1]]
    before = np.concatenate([["O"], letter[:-1]])
    from_main = diary.from_place == main[diary.person]
    start = np.where(at_home, "H", np.where(from_main, "W", "O"))
    from_letter = np.where(first, start, np.where(at_home, "H", before))
    return Activities(home, main, letter, from_letter, np.floor(diary.departure_s / DAY_S).astype(np.int64))


def fit_laws(diary: Diary) -> ScheduleLaws:
    """Everything the rules draw from, fitted to a diary (modes where it has them)."""
    acts = activities(diary)
    laws = _chains(diary, acts)
    laws = _departures(diary, acts, laws)
    step = _steps_m(diary)
    takes = np.maximum(diary.arrival_s - diary.departure_s, 30.0)
    if len(step) >= FEW and np.ptp(np.log(np.maximum(step, 10.0))) > 0.1:
        slope, height = np.polyfit(np.log(np.maximum(step, 10.0) / 1000.0), np.log(takes), 1)
        laws = replace(laws, travel=(float(np.exp(height)), float(np.clip(slope, 0.0, 1.5))))
    laws = replace(laws, gravity=_gravity(diary, acts), explore=_explored(diary, acts))
    return _modes(diary, step, laws)


def chains_of(diary: Diary, acts: Activities) -> list[tuple[int, int, str, list[int]]]:
    """Person, day, letters from where the day begins, and rows of the trips, of all days with a trip."""
    out = []
    key = diary.person.astype(np.int64) * 1_000_000 + acts.day
    for rows in np.split(np.arange(len(diary)), np.flatnonzero(np.diff(key)) + 1):
        if len(rows):
            letters = str(acts.from_letter[rows[0]]) + "".join(acts.letter[rows])
            out.append((int(diary.person[rows[0]]), int(acts.day[rows[0]]), letters, rows.tolist()))
    return out


def closed(letters: str) -> str:
    """A chain that begins and ends at home, without stays that follow themselves at home or at work.

    >>> closed("WHOO"), closed("HH")
    ('HWHOOH', 'H')
    """
    letters = ("" if letters.startswith("H") else "H") + letters + ("" if letters.endswith("H") else "H")
    kept = letters[0]
    for letter in letters[1:]:
        if letter == "O" or letter != kept[-1]:
            kept += letter
    return kept if len(kept) <= LONGEST_CHAIN else kept[: LONGEST_CHAIN - 1] + "H"


def _chains(diary: Diary, acts: Activities) -> ScheduleLaws:
    counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for _, day, letters, _ in chains_of(diary, acts):
        chain = closed(letters)
        if len(chain) > 2:
            counts[day % 7 >= 5][chain] = counts[day % 7 >= 5].get(chain, 0) + 1
    total = {chain: counts[0].get(chain, 0) + counts[1].get(chain, 0) for chain in {**counts[0], **counts[1]}}
    kept = sorted(total, key=lambda chain: (-total[chain], chain))[:MOST_CHAINS]
    if not kept:
        return ScheduleLaws()
    seen = observed_days(diary)[:, 1] % 7 >= 5
    shares = []
    for weekend in (False, True):
        number = np.zeros(len(kept))
        for chain, n in counts[weekend].items():
            number[kept.index(_most_alike(chain, kept))] += n
        shares.append(tuple((number / max(float(np.sum(seen == weekend)), 1.0, number.sum())).tolist()))
    if not shares[0] or not sum(shares[0]):
        shares[0] = shares[1]
    return replace(ScheduleLaws(), chains=tuple(kept), weekday_shares=shares[0], weekend_shares=shares[1])


def _most_alike(chain: str, kept: list[str]) -> str:
    if chain in kept:
        return chain
    return min(kept, key=lambda k: (abs(len(k) - len(chain)) + 2 * sum((c in k) != (c in chain) for c in "WS"), k))


def _departures(diary: Diary, acts: Activities, laws: ScheduleLaws) -> ScheduleLaws:
    found: dict[str, list[float]] = {}
    stays = []
    for _, day, letters, rows in chains_of(diary, acts):
        previous = None
        for k, row in enumerate(rows, start=1):
            kind = kind_of(letters, k)
            clock = float(diary.departure_s[row] - day * DAY_S)
            if kind in ("errand", "out_again", "back_to_work"):
                if previous is not None:
                    found.setdefault(kind, []).append(clock - previous)
            else:
                found.setdefault(kind, []).append(clock)
            if previous is not None:
                stays.append(float(diary.departure_s[row] - diary.arrival_s[row - 1]))
            previous = clock
    changes: dict[str, object] = {}
    for kind in ("to_work", "from_work", "at_noon", "back_to_work", "first_out"):
        if len(found.get(kind, ())) >= FEW:
            changes[kind] = normal_law(np.array(found[kind]) / 3600.0)
    if len(found.get("out_again", ())) >= FEW:
        waits = np.array(found["out_again"]) / 3600.0
        least = float(np.quantile(waits, 0.05))
        changes["out_again"] = (max(least, 0.02), max(float(waits.mean()) - least, 0.05))
    if len(found.get("errand", ())) >= FEW:
        changes["errand"] = stay_law(np.array(found["errand"]))
    if len(stays) >= FEW:
        changes["least_stay_s"] = float(np.clip(np.quantile(stays, 0.02), 30.0, 600.0))
    return replace(laws, **changes)  # type: ignore[arg-type]


def normal_law(hours: Float64[Array, "n"]) -> Normal:
    """A normal law by moments, cut off where next to nothing was seen."""
    low, high = np.quantile(hours, [0.005, 0.995])
    return Normal(
        float(hours.mean()), float(max(hours.std(), 0.05)), float(low - 0.05), float(max(high, low + 0.1) + 0.05)
    )


def stay_law(stays_s: Float64[Array, "n"]) -> Stay:
    """Power law with a cut-off by maximum likelihood on a grid of its exponent and its time."""
    least = float(max(np.quantile(stays_s, 0.02), 60.0))
    t = stays_s[stays_s >= least]
    grid = np.geomspace(least, max(least * 2, 10 * float(t.max())), 600)
    best, law = -np.inf, Stay(least)
    for beta in np.linspace(0.05, 2.5, 20):
        for tau in np.geomspace(600.0, 80 * 3600.0, 24):
            density = grid ** -(1 + beta) * np.exp(-(grid - least) / tau)
            whole = float(np.sum(0.5 * (density[1:] + density[:-1]) * np.diff(grid)))
            value = float(-(1 + beta) * np.log(t).sum() - (t - least).sum() / tau - len(t) * np.log(whole))
            if value > best:
                best, law = value, Stay(least, float(beta), float(tau))
    return law


def gravity_exponent(
    x_m: Float64[Array, "places"],
    y_m: Float64[Array, "places"],
    mass: Float64[Array, "places"],
    origin: Int32[Array, "n"],
    target: Int32[Array, "n"],
) -> float | None:
    """Exponent of P(j | i) ~ m_j / max(d_ij, 30 m)^g by maximum likelihood; None with too few pairs."""
    keep = (origin != target) & (mass[target] > 0)
    origin, target = origin[keep][:3000], target[keep][:3000]
    if len(origin) < FEW:
        return None
    places = np.flatnonzero(mass > 0)
    unique, row = np.unique(origin, return_inverse=True)
    row = row.reshape(-1)
    d = np.maximum(np.hypot(x_m[unique, None] - x_m[places], y_m[unique, None] - y_m[places]), 30.0)
    allowed = unique[:, None] != places[None, :]
    log_d = np.log(np.maximum(np.hypot(x_m[origin] - x_m[target], y_m[origin] - y_m[target]), 30.0))
    number = np.bincount(row)
    best, found = -np.inf, None
    for g in np.arange(0.0, 4.01, 0.1):
        whole = np.where(allowed, mass[places] * d**-g, 0.0).sum(axis=1)
        value = float(-g * log_d.sum() - (number * np.log(whole)).sum())
        if value > best:
            best, found = value, float(round(g, 1))
    return found


def _gravity(diary: Diary, acts: Activities) -> dict[str, float]:
    n = len(diary.place_x_m)
    out = {}
    to_other = acts.letter == "O"
    some = np.random.default_rng(0).permutation(np.flatnonzero(to_other))[:800]  # these stand for all
    mass = np.bincount(diary.to_place[to_other], minlength=n).astype(float)
    exponent = gravity_exponent(diary.place_x_m, diary.place_y_m, mass, diary.from_place[some], diary.to_place[some])
    if exponent is not None:
        out["O"] = exponent
    has = acts.main >= 0
    mass = np.bincount(acts.main[has], minlength=n).astype(float)
    exponent = gravity_exponent(diary.place_x_m, diary.place_y_m, mass, acts.home[has], acts.main[has])
    if exponent is not None:
        out |= {"W": exponent, "S": exponent}
    return out


def _explored(diary: Diary, acts: Activities) -> float | None:
    """Share of errands to places never visited before, the first four of each person left out."""
    rows = np.flatnonzero(acts.letter == "O")
    if len(rows) < FEW:
        return None
    who, where = diary.person[rows], diary.to_place[rows]
    nth = np.arange(len(rows)) - np.searchsorted(who, who)
    _, first = np.unique(np.column_stack([who, where]), axis=0, return_index=True)
    new = np.zeros(len(rows), bool)
    new[first] = True
    later = nth >= 4
    return float(new[later].mean()) if later.sum() >= FEW else None


def _modes(diary: Diary, step_m: Array, laws: ScheduleLaws) -> ScheduleLaws:
    known = diary.mode > 0
    if known.sum() < max(FEW, 0.3 * len(diary)):
        return laws
    d, mode = step_m[known], diary.mode[known]
    tries = np.unique(np.quantile(d, np.linspace(0.0, 1.0, 41)))
    walks = np.array([np.sum((mode == 1) == (d < edge)) for edge in tries])
    walk = float(tries[np.argmax(walks)])
    drives = np.array([np.sum((mode == 3) == (d >= edge)) if edge >= walk else -1 for edge in tries])
    bicycle = float(tries[np.argmax(drives)])
    edges = np.unique([*np.quantile(d, np.linspace(0.1, 0.9, 9)), walk, max(bicycle, walk)])
    band = np.searchsorted(edges, d, side="right")
    count = np.zeros((len(edges) + 1, 3)) + 0.02
    np.add.at(count, (band, mode - 1), 1.0)
    shares = tuple((row[0], row[1], row[2]) for row in (count / count.sum(axis=1, keepdims=True)).tolist())
    return replace(
        laws, walk_m=walk, bicycle_m=max(bicycle, walk), mode_edges_m=tuple(edges.tolist()), mode_shares=shares
    )


def _main_places(diary: Diary, home: Array) -> Int32[Array, "persons"]:
    """Where a person works or studies: by purpose, else the place but home with the longest stays on weekdays."""
    last = np.r_[diary.person[1:] != diary.person[:-1], True]
    until = np.r_[diary.departure_s[1:], 0.0]
    stay = np.where(last, 0.0, until - diary.arrival_s)
    weekday = np.floor(diary.arrival_s / DAY_S) % 7 < 5
    named = (diary.purpose == 1) | (diary.purpose == 2)
    unnamed = (diary.purpose == -1) & weekday & (stay > 3 * 3600.0) & (stay < 18 * 3600.0)
    use = (named | unnamed) & (diary.to_place != home[diary.person])
    out = np.full(diary.n_persons, -1, np.int32)
    if not use.any():
        return out
    pair, which = np.unique(np.column_stack([diary.person[use], diary.to_place[use]]), axis=0, return_inverse=True)
    total = np.bincount(which.reshape(-1), np.maximum(stay[use], 60.0) + 1e6 * named[use])
    order = np.lexsort((total, pair[:, 0]))
    out[pair[order, 0]] = pair[order, 1]
    return out


def _steps_m(diary: Diary) -> Float64[Array, "trips"]:
    x, y = diary.place_x_m, diary.place_y_m
    return np.asarray(np.hypot(x[diary.to_place] - x[diary.from_place], y[diary.to_place] - y[diary.from_place]))
