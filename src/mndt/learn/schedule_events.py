"""A diary as arrays for training: the course of every person followed once, cut into chunks of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int32

from mndt.formats.diary import Diary
from mndt.users._course import N_CHOICE, N_PLACE, RESET, SLOTS, Course
from mndt.users.point_process import travel_inputs
from mndt.users.schedule_events import homes_of, templates_of

Array = np.ndarray

MOST_EVENTS: Final = 400_000
"""Events held in memory; of people who have more than their share the first ones are learned from."""

OTHERS: Final = 24
"""Places beside the true one in a choice among shared places."""


@dataclass(frozen=True)
class Chunks:
    """Up to `RESET` events each; `valid` tells events from filling. The last event of a person may be an
    end (`ends`): no departure any more before the last day is over."""

    x: Float32[Array, "chunks events inputs"]
    choice: Float32[Array, "chunks events choice"]
    places: Float32[Array, "chunks events slots features"]
    open: Bool[Array, "chunks events slots"]
    travel: Float32[Array, "chunks events travel"]
    now_h: Float32[Array, "chunks events"]
    limit_h: Float32[Array, "chunks events"]
    leave_h: Float32[Array, "chunks events"]
    ends: Bool[Array, "chunks events"]
    target: Int32[Array, "chunks events"]  # 0 a new place, 1 + slot a remembered one
    jump: Float32[Array, "chunks events candidates 6"]  # see `_Recorder`; the first candidate is the true one
    minutes: Float32[Array, "chunks events"]  # logarithm
    valid: Bool[Array, "chunks events"]
    person: Int32[Array, "chunks"]


@dataclass(frozen=True)
class Candidates:
    """Places that new places are chosen among, with their popularity; none: they may be anywhere."""

    row: Array  # rows of the diary's places
    x_m: Array
    y_m: Array
    total: Array  # running sum of the popularity

    def __len__(self) -> int:
        return len(self.row)


def follow(
    diary: Diary, mean: Array, deviation: Array, scale_m: float, shared: Candidates, rng: np.random.Generator
) -> Chunks:
    """Inputs and targets of all events of a diary."""
    people = templates_of(diary)
    home = homes_of(diary)
    n = diary.n_persons
    z = np.clip((people.traits - mean) / deviation, -4.0, 4.0)
    course = Course(people.day_table(), z, scale_m, people.start_x_m, people.start_y_m)
    course.place[:, 0] = home
    first = np.searchsorted(diary.person, np.arange(n))
    away = course.at == 1
    course.place[away, 1] = diary.from_place[first[away]]
    number = np.bincount(diary.person, minlength=n)
    homes = (people.home_x_m, people.home_y_m)
    events = min(int(number.max(initial=0)) + 1, int(np.clip(MOST_EVENTS / max(n, 1), 96, 1500)))
    recorder = _Recorder(n, events, course, shared, homes, rng)
    for k in range(events):
        rows = np.flatnonzero((number >= k) & (course.day < course.n_days))
        ends = number[rows] == k
        recorder.before(k, rows, ends)
        rows = rows[~ends]
        recorder.after(k, rows, _trip(diary, first[rows] + k, course, rows, people.home_x_m, people.home_y_m))
    return recorder.chunks()


def _trip(diary: Diary, trip: Array, course: Course, rows: Array, home_x: Array, home_y: Array) -> tuple[Array, ...]:
    """Departure on the course's axis, hours it lasts, place, position from home."""
    day = np.floor(diary.departure_s[trip] / 86_400.0).astype(np.int64)
    clock = diary.departure_s[trip] / 3600.0 - 24.0 * day
    columns = course.days.shape[1]
    today = course.days[rows, np.minimum(course.day[rows], columns - 1)]
    leave = np.where(day > today, clock + 24.0, clock)
    leave = np.maximum(leave, course.now_h[rows] + 1.0 / 120.0)
    lasts = np.maximum(diary.arrival_s[trip] - diary.departure_s[trip], 30.0) / 3600.0
    place = diary.to_place[trip]
    x, y = diary.place_x_m[place] - home_x[rows], diary.place_y_m[place] - home_y[rows]
    return leave, lasts, place, x, y


class _Recorder:
    """Fills the arrays event by event.

    A candidate for a new place is told by log distance and cosine of the bearing from here, the same from
    home, 1 if the person is away from home, 1 if it can be chosen. Where places are shared, the true one is
    followed by others drawn by their popularity: which of them is gone to is then what is learned.
    """

    def __init__(
        self, n: int, events: int, course: Course, shared: Candidates, homes: tuple[Array, Array],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.shared, self.homes, self.rng = shared, homes, rng
        self.course, width = course, course.inputs(np.arange(0)).shape[1]
        traits = course.traits.shape[1]
        self.x = np.zeros((n, events, width), np.float32)
        self.choice = np.zeros((n, events, N_CHOICE), np.float32)
        self.places = np.zeros((n, events, SLOTS, N_PLACE), np.float16)
        self.open = np.zeros((n, events, SLOTS), bool)
        self.travel = np.zeros((n, events, traits + 7), np.float32)
        self.now, self.limit, self.leave = (np.zeros((n, events), np.float32) for _ in range(3))
        self.ends, self.valid = np.zeros((n, events), bool), np.zeros((n, events), bool)
        self.target = np.zeros((n, events), np.int32)
        self.jump = np.zeros((n, events, 1 + OTHERS if len(shared) else 1, 6), np.float32)
        self.minutes = np.zeros((n, events), np.float32)

    def before(self, k: int, rows: Array, ends: Array) -> None:
        course = self.course
        self.x[rows, k] = course.inputs(rows)
        self.now[rows, k], self.limit[rows, k] = course.now_h[rows], course.limit_h[rows]
        # an end tells something only where this day has had its trip already
        keep = ~ends | (course.busy[rows] & (course.day[rows] + 1 == course.n_days[rows]))
        self.valid[rows, k] = keep
        self.ends[rows, k] = ends
        self.leave[rows, k] = 24.0

    def after(self, k: int, rows: Array, trip: tuple[Array, ...]) -> None:
        course = self.course
        leave, lasts, place, x, y = trip
        leave = np.minimum(leave, course.limit_h[rows] - 1.0 / 3600.0)
        self.leave[rows, k] = leave
        self.choice[rows, k] = course.choice_inputs(rows, leave)
        self.places[rows, k], self.open[rows, k] = course.place_inputs(rows, leave)
        at = course.at[rows]
        match = (course.place[rows] == place[:, None]) & (course.count[rows] > 0)
        slot = np.where(match.any(axis=1), np.argmax(match, axis=1), -1)
        from_x, from_y = course.x[rows, at], course.y[rows, at]
        self.target[rows, k] = np.where(slot == at, -1, slot + 1)  # a trip to where one is: no choice to learn
        self.jump[rows, k, 0] = self._jump(rows, x, y, from_x, from_y)
        self.jump[rows, k, 0, 5] = 1.0
        new = rows[slot < 0]
        if len(self.shared) and len(new):
            self.jump[new, k, 1:] = self._others(new, place[slot < 0], from_x[slot < 0], from_y[slot < 0])
        self.travel[rows, k] = travel_inputs(course, rows, leave, np.hypot(x - from_x, y - from_y))
        self.minutes[rows, k] = np.log(60.0 * lasts)
        course.move(rows, leave, lasts, slot, x, y, place)

    def _others(self, rows: Array, place: Array, from_x: Array, from_y: Array) -> Array:
        """Places not gone to; those known already, and the true one again, cannot be chosen."""
        shape = (len(rows), OTHERS)
        which = np.searchsorted(self.shared.total, self.rng.random(shape) * self.shared.total[-1], side="right")
        which = np.minimum(which, len(self.shared) - 1)
        named = self.shared.row[which]
        out = np.zeros((*shape, 6), np.float32)
        who = np.repeat(rows, OTHERS)
        x = (self.shared.x_m[which] - self.homes[0][rows][:, None]).ravel()
        y = (self.shared.y_m[which] - self.homes[1][rows][:, None]).ravel()
        out[..., :5] = self._jump(who, x, y, np.repeat(from_x, OTHERS), np.repeat(from_y, OTHERS)).reshape(*shape, 6)[
            ..., :5
        ]
        known = (named[:, :, None] == self.course.place[rows][:, None, :]).any(axis=2)
        out[..., 5] = ~known & (named != place[:, None])
        return out

    def _jump(self, rows: Array, x: Array, y: Array, from_x: Array, from_y: Array) -> Array:
        d, cos_home, sin_home = self.course.frame(rows)
        out = np.zeros((len(rows), 6), np.float32)
        step = np.hypot(x - from_x, y - from_y)
        out[:, 0] = self.course.log_distance(step)
        out[:, 1] = ((x - from_x) * cos_home + (y - from_y) * sin_home) / np.maximum(step, 1e-9)
        radius = np.hypot(x, y)
        out[:, 2] = self.course.log_distance(radius)
        out[:, 3] = -(x * cos_home + y * sin_home) / np.maximum(radius, 1e-9)
        out[:, 4] = d > 1.0
        return out

    def chunks(self) -> Chunks:
        """Cut into pieces of `RESET` events; those without any are dropped."""
        n, events = self.valid.shape
        size = min(RESET, events)
        pieces = -(-events // size)

        def cut(values: Array) -> Array:
            rest = pieces * size - events
            padded = np.pad(values, [(0, 0), (0, rest)] + [(0, 0)] * (values.ndim - 2))
            return padded.reshape(n * pieces, size, *values.shape[2:])

        keep = cut(self.valid).any(axis=1)
        names = ("x", "choice", "places", "open", "travel", "now", "limit", "leave", "ends", "target", "jump",
                 "minutes", "valid")  # fmt: skip
        columns = [cut(getattr(self, name))[keep] for name in names]
        return Chunks(*columns, np.repeat(np.arange(n, dtype=np.int32), pieces)[keep])  # type: ignore[call-arg]
