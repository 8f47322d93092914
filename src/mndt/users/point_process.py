"""A learned spatiotemporal point process of schedules: when people leave, for where, and how long it takes.

After every stay a gated recurrent unit gives the law of the next departure (a mixture of log-normal waiting
times and of normal times of the day), then of the place: one of those remembered, or a new one whose
displacement has a density in the plane (mixture of log-normal distances, from here or from home, times a
von Mises law of the direction). It is the kind of generator of the paper's reference [4], with densities in
closed form. Weights come from `mndt.learn.schedule`; this module only draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, ndtri

from mndt.errors import InputError
from mndt.users import _point_net as net
from mndt.users._course import RESET, Course, harmonics
from mndt.users._space import Space
from mndt.users.schedule_events import TRAITS, Templates, traits_of
from mndt.users.schedule_statistics import TripTable

Array = np.ndarray
VERSION: Final = 1
TRAIT_WEIGHT: Final = np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0])
"""How much each trait counts where the best of several courses is chosen; the radius is met least by itself."""
_TEMPLATE: Final = ("traits", "day_start", "days", "home_x_m", "home_y_m", "start_x_m", "start_y_m")


@dataclass(frozen=True)
class PointProcess:
    """Weights, the people it was fitted to (without their trips), and the places they share, if any."""

    weights: dict[str, Array]
    templates: Templates
    mean: Float64[Array, "traits"]
    deviation: Float64[Array, "traits"]
    scale_m: float  # distance of a typical step
    bandwidth: float  # of the kernel that smooths the traits, in deviations
    place_x_m: Float64[Array, "places"]
    place_y_m: Float64[Array, "places"]
    place_visits: Float64[Array, "places"]  # people who ever went there
    day_shares: Float64[Array, "7"]  # of people who leave their place on a day of the week

    def standard(self, traits: Array) -> Array:
        """Traits in deviations from the mean."""
        return np.asarray(np.clip((traits - self.mean) / self.deviation, -4.0, 4.0))

    def draw_people(self, n: int, rng: np.random.Generator) -> tuple[Templates, Array]:
        """`n` people: observation days of persons of the diary, each equally often, and traits, smoothed."""
        people = self.templates.take(np.resize(rng.permutation(len(self.templates)), n))
        shrink = np.sqrt(1.0 - self.bandwidth**2)
        z = self.standard(people.traits) * shrink + self.bandwidth * rng.standard_normal(people.traits.shape)
        return people, z

    def space(self) -> Space | None:
        """The places the people of the diary shared; None: they shared none, new places may be anywhere."""
        if not len(self.place_x_m):
            return None
        return Space.at(self.place_x_m, self.place_y_m, self.place_visits)

    def sample(self, n: int, rng: np.random.Generator, tries: int = 4) -> TripTable:
        """The diary of `n` people who do not exist.

        Args:
            n: people.
            rng: draws everything.
            tries: courses drawn for each person; the one whose traits come nearest to the person's is kept,
                as traits are what a course, in the end, must have.
        """
        people, z = self.draw_people(n, rng)
        again = np.tile(np.arange(n), tries)
        many = people.take(again)
        course = Course(many.day_table(), z[again], self.scale_m, many.start_x_m, many.start_y_m)
        trips = all_trips(Drawing(self, course, rng), self.space(), many.home_x_m, many.home_y_m)
        table = TripTable(trips.person.astype(np.int32), *trips[1:7])
        found = self.standard(traits_of(table, len(many), many.home_x_m, many.home_y_m))
        gap = np.sum((TRAIT_WEIGHT * (found - z[again])) ** 2, axis=1).reshape(tries, n)
        kept = np.argmin(gap, axis=0) * n + np.arange(n)
        row = np.full(len(many), -1, np.int32)
        row[kept] = np.arange(n)
        some = np.flatnonzero(row[table.person] >= 0)
        some = some[np.lexsort((table.departure_s[some], row[table.person[some]]))]
        columns = (getattr(table, name)[some] for name in TripTable.__dataclass_fields__ if name != "person")
        return TripTable(row[table.person[some]], *columns)


class Trips(NamedTuple):
    """A trip of each of some people."""

    person: Array
    departure_s: Array
    arrival_s: Array
    from_x_m: Array
    from_y_m: Array
    to_x_m: Array
    to_y_m: Array
    from_place: Array  # rows of the given places, if there are any
    to_place: Array


class Drawing:
    """Draws event after event for many people; only those who still have a trip to come are looked at."""

    def __init__(self, process: PointProcess, course: Course, rng: np.random.Generator) -> None:
        self.process, self.course, self.rng = process, course, rng
        self.rows = np.flatnonzero(course.n_days > 0)
        self.h = np.zeros((len(course.days), net.HIDDEN), np.float32)
        self.n_events = 0

    def next_trips(self, space: Space | None, home_x: Array, home_y: Array) -> Trips | None:
        """Everyone's next trip; None when all are done."""
        course, p, rng = self.course, self.process.weights, self.rng
        self.rows = self.rows[course.day[self.rows] < course.n_days[self.rows]]
        if not len(self.rows):
            return None
        rows = self.rows
        if self.n_events % RESET == 0:
            self.h[:] = 0.0
        self.n_events += 1
        x = course.inputs(rows)
        h = net.recur(np, p, self.h[rows], x)
        self.h[rows] = h
        leave = draw_departure(net.waiting(np, p, h, x), course.now_h[rows], course.limit_h[rows], rng)
        stops = (leave >= 24.0) & (course.day[rows] + 1 >= course.n_days[rows])
        course.day[rows[stops]] = course.n_days[rows[stops]]
        go = ~stops
        rows, x, h, leave = rows[go], x[go], h[go], leave[go]
        if not len(rows):
            return self.next_trips(space, home_x, home_y)
        c = course.choice_inputs(rows, leave)
        places, open_ = course.place_inputs(rows, leave)
        log_choice, log_gate, frames = net.choosing(np, p, h, x, c, places, open_)
        slot = _pick(log_choice, rng) - 1
        at = course.at[rows]
        from_x, from_y = course.x[rows, at], course.y[rows, at]
        to_x, to_y = course.x[rows, slot], course.y[rows, slot]
        place = course.place[rows, slot]
        new = np.flatnonzero(slot < 0)
        if len(new):
            jump = _some(log_gate, frames, new)
            if space is None:
                to_x[new], to_y[new] = self._explore(rows[new], *jump)
            else:
                hx, hy = home_x[rows[new]], home_y[rows[new]]
                here = (from_x[new] + hx, from_y[new] + hy)
                known = course.place[rows[new]]
                chosen = space.choose(*jump, here, (hx, hy), known, course.scale_m, rng)
                place[new] = chosen
                to_x[new], to_y[new] = space.x_m[chosen] - hx, space.y_m[chosen] - hy
        lasts = self._travel(rows, leave, np.hypot(to_x - from_x, to_y - from_y))
        depart, arrive = self._real(rows, leave, lasts)
        came_from = course.place[rows, at]
        course.move(rows, leave, lasts / 3600.0, slot, to_x, to_y, place)
        hx, hy = home_x[rows], home_y[rows]
        return Trips(rows, depart, arrive, from_x + hx, from_y + hy, to_x + hx, to_y + hy, came_from, place)

    def _explore(self, rows: Array, log_gate: Array, frames: tuple[Array, ...]) -> tuple[Array, Array]:
        """New places, from home at (0, 0)."""
        course, rng, n = self.course, self.rng, len(rows)
        at = course.at[rows]
        d, cos_home, sin_home = course.frame(rows)
        home = (rng.random(n) < np.exp(log_gate[:, 1])) & (d > 1.0)
        out = []
        for f in range(2):
            log_weight, mean, width, kappa = frames[4 * f : 4 * f + 4]
            k = _pick(log_weight, rng)
            one = np.arange(n)
            log_d = mean[one, k] + width[one, k] * rng.standard_normal(n)
            distance = course.scale_m * np.exp(np.clip(log_d, -6.0, 9.0))
            # axis from here towards home, and from home towards here; without one any direction
            strength = np.where(d > 1.0, kappa, 0.0)
            angle = rng.vonmises(0.0, np.maximum(np.abs(strength), 1e-9)) + np.where(strength < 0, np.pi, 0.0)
            sign = 1.0 if f == 0 else -1.0
            ux, uy = sign * cos_home, sign * sin_home
            dx = distance * (np.cos(angle) * ux - np.sin(angle) * uy)
            dy = distance * (np.cos(angle) * uy + np.sin(angle) * ux)
            out.append((dx, dy))
        x, y = course.x[rows, at], course.y[rows, at]
        return np.where(home, out[1][0], x + out[0][0]), np.where(home, out[1][1], y + out[0][1])

    def _travel(self, rows: Array, leave_h: Array, distance_m: Array) -> Array:
        """Seconds a trip takes, at least 30."""
        inputs = travel_inputs(self.course, rows, leave_h, distance_m)
        log_weight, mean, width = net.travelling(np, self.process.weights, inputs)
        k, one = _pick(log_weight, self.rng), np.arange(len(rows))
        minutes = np.exp(mean[one, k] + width[one, k] * self.rng.standard_normal(len(rows)))
        return np.asarray(np.clip(60.0 * minutes, 30.0, 30 * 3600.0))

    def _real(self, rows: Array, leave_h: Array, lasts_s: Array) -> tuple[Array, Array]:
        """Departure and arrival since a Monday's midnight."""
        course = self.course
        number = course.day[rows] + (leave_h >= 24.0)
        day = course.days[rows, np.minimum(number, course.days.shape[1] - 1)]
        depart = 86_400.0 * day + 3600.0 * (leave_h % 24.0)
        return depart, depart + lasts_s


def all_trips(drawing: Drawing, space: Space | None, home_x: Array, home_y: Array) -> Trips:
    """Every trip until all are done, sorted by person and departure."""
    parts: list[Trips] = []
    while (trips := drawing.next_trips(space, home_x, home_y)) is not None:
        parts.append(trips)
    if not parts:
        return Trips(*(np.zeros(0) for _ in Trips._fields))
    columns = [np.concatenate(values) for values in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return Trips(*(column[order] for column in columns))


def travel_inputs(course: Course, rows: Array, leave_h: Array, distance_m: Array) -> Array:
    """[rows, traits + 7]: traits, distance and clock."""
    clock = harmonics(leave_h)
    return np.concatenate([course.traits[rows], 0.5 * course.log_distance(distance_m)[:, None], clock], axis=1).astype(
        np.float32
    )


def draw_departure(mixture: tuple[Array, ...], now_h: Array, limit_h: Array, rng: np.random.Generator) -> Array:
    """Departures between now and the limit, by the truncated mixture: a component by its mass there, then inside it."""
    log_weight, wait_mean, wait_width, clock_mean, clock_width = (v.astype(np.float64) for v in mixture)
    n, waits = len(now_h), wait_mean.shape[1]
    room = np.log(np.maximum(limit_h - now_h, 1e-6))[:, None]
    low = np.concatenate([np.zeros((n, waits)), ndtr((now_h[:, None] - clock_mean) / clock_width)], axis=1)
    high = np.concatenate(
        [ndtr((room - wait_mean) / wait_width), ndtr((limit_h[:, None] - clock_mean) / clock_width)], axis=1
    )
    mass = np.concatenate([np.maximum(high - low, 0.0), np.ones((n, 1))], axis=1) * np.exp(log_weight)
    total = np.cumsum(mass, axis=1)
    k = (total < (rng.random(n) * total[:, -1])[:, None]).sum(axis=1)
    k = np.minimum(k, mass.shape[1] - 1)
    u, one = rng.random(n), np.arange(n)
    inner = np.minimum(k, low.shape[1] - 1)
    a, b = low[one, inner], high[one, inner]
    q = ndtri(np.clip(a + u * (b - a), 1e-15, 1.0 - 1e-15))
    j = np.minimum(inner, waits - 1)
    waited = now_h + np.exp(wait_mean[one, j] + wait_width[one, j] * q)
    i = np.maximum(inner - waits, 0)
    by_clock = clock_mean[one, i] + clock_width[one, i] * q
    even = now_h + u * (limit_h - now_h)
    leave = np.where(k == low.shape[1], even, np.where(k < waits, waited, by_clock))
    return np.asarray(np.clip(leave, now_h + 1.0 / 120.0, np.maximum(limit_h - 1.0 / 3600.0, now_h + 1.0 / 120.0)))


def _pick(log_weight: Array, rng: np.random.Generator) -> Array:
    """One column for each row, by its probability."""
    total = np.cumsum(np.exp(log_weight), axis=1)
    hit = (total < (rng.random(len(log_weight)) * total[:, -1])[:, None]).sum(axis=1)
    return np.asarray(np.minimum(hit, log_weight.shape[1] - 1))


def _some(log_gate: Array, frames: tuple[Array, ...], rows: Array) -> tuple[Array, tuple[Array, ...]]:
    return log_gate[rows], tuple(part[rows] for part in frames)


def save(process: PointProcess, path: Path) -> None:
    """Write the weights as one .npz, whole or not at all."""
    from mndt.files import whole_file

    content = {f"weight_{name}": values for name, values in process.weights.items()}
    content |= {f"template_{name}": getattr(process.templates, name) for name in _TEMPLATE}
    names = ("mean", "deviation", "place_x_m", "place_y_m", "place_visits", "day_shares")
    content |= {name: getattr(process, name) for name in names}
    numbers = np.array([VERSION, process.scale_m, process.bandwidth])
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, schedule_point_process=numbers, **content)  # type: ignore[arg-type]


def load(path: Path) -> PointProcess:
    """Read weights.

    Raises:
        InputError: no such file, or it is none of ours.
    """
    allowed, fix = "weights that `mndt train schedule` wrote", "train them"
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError("weights", f"{path} ({type(error).__name__})", allowed=allowed, fix=fix) from None
    if "schedule_point_process" not in content or content["schedule_point_process"][0] != VERSION:
        raise InputError("weights", path, allowed=allowed, fix=fix)
    weights = {name: content[f"weight_{name}"] for name in net.shapes(len(TRAITS)) if f"weight_{name}" in content}
    if {name: values.shape for name, values in weights.items()} != net.shapes(len(TRAITS)):
        raise InputError("weights", path, allowed=allowed, fix="train them with this version")
    templates = Templates(*(content[f"template_{name}"] for name in _TEMPLATE))
    _, scale, bandwidth = content["schedule_point_process"]
    return PointProcess(  # type: ignore[call-arg]
        weights, templates, content["mean"], content["deviation"], float(scale), float(bandwidth),
        *(content[f"place_{name}"] for name in ("x_m", "y_m", "visits")), content["day_shares"],
    )  # fmt: skip
