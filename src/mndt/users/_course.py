"""What a point process of schedules looks at: the course of many people side by side, event by event.

The same code makes the inputs of training (following a diary) and of sampling (following its own draws),
so that both see the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np

Array = np.ndarray

SLOTS: Final = 16
"""Places a person remembers; slot 0 is home."""

RESET: Final = 48
"""Events after which the recurrent state begins anew, about a person-week."""

N_INPUTS: Final = 28
N_CHOICE: Final = 16
N_PLACE: Final = 14


def harmonics(hours: Array) -> Array:
    """Sine and cosine of the clock and of its first two overtones."""
    angle = 2 * np.pi / 24.0 * np.asarray(hours, np.float32)[..., None] * np.arange(1, 4, dtype=np.float32)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)


class Course:
    """The course of `n` people: clock, position, remembered places.

    Args:
        days: [n, most] days with a trip, -1 beyond the last.
        traits: [n, traits] standardised.
        scale_m: distance of a typical step.
        start_x_m, start_y_m: first position, from home at (0, 0).
    """

    def __init__(self, days: Array, traits: Array, scale_m: float, start_x_m: Array, start_y_m: Array) -> None:
        n = len(days)
        self.days, self.traits, self.scale_m = days, traits.astype(np.float32), scale_m
        self.n_days = (days >= 0).sum(axis=1)
        self.day = np.zeros(n, np.int64)  # number of the day, of those with a trip
        self.now_h = np.zeros(n)  # since that day's midnight
        self.busy = np.zeros(n, bool)  # has set out today
        self.today = np.zeros(n)  # trips today
        self.x, self.y = np.zeros((n, SLOTS)), np.zeros((n, SLOTS))
        self.count = np.zeros((n, SLOTS), np.float32)
        self.last_h = np.full((n, SLOTS), -1e3)  # of the last visit, on the axis of days with trips
        self.clock = np.zeros((n, SLOTS, 6), np.float32)  # sums of harmonics of arrivals
        self.weekend = np.zeros((n, SLOTS), np.float32)
        self.stayed = np.zeros((n, SLOTS), np.float32)  # logarithm of the last stay
        self.place = np.full((n, SLOTS), -1, np.int64)  # names of places, where there are any
        self.at = np.zeros(n, np.int64)  # slot of the current place
        self.before = np.zeros(n, np.int64)  # slot of the one before
        self.waited = np.zeros(n, np.float32)
        self.moved = np.zeros(n, np.float32)
        self.explored = np.zeros(n, np.float32)
        self.out = np.zeros(n)  # trips since home
        self.count[:, 0] = 1.0
        away = np.hypot(start_x_m, start_y_m) > 1.0
        self.x[away, 1], self.y[away, 1] = start_x_m[away], start_y_m[away]
        self.count[away, 1] = 1.0
        self.at[away] = 1

    @property
    def weekday(self) -> Array:
        """Row of the weekday today."""
        day = self.days[np.arange(len(self.days)), np.minimum(self.day, self.days.shape[1] - 1)]
        return np.asarray(np.maximum(day, 0) % 7)

    @property
    def limit_h(self) -> Array:
        """Until when the next trip begins: today's end, or the next day's for those who were out today."""
        return np.where(self.busy, 48.0, 24.0)

    def _next_day(self, rows: Array) -> tuple[Array, Array]:
        """Days without a trip until the next day with one, and the latter's weekday."""
        columns = self.days.shape[1]
        today = self.days[rows, np.minimum(self.day[rows], columns - 1)]
        after = np.where(self.day[rows] + 1 < columns, self.days[rows, np.minimum(self.day[rows] + 1, columns - 1)], -1)
        gap = np.where(after >= 0, after - today - 1, 0)
        return gap, np.where(after >= 0, after, today + 1) % 7

    def log_distance(self, metres: Array) -> Array:
        """Logarithm of a distance in units of the scale, at least 1/300 of it."""
        return np.asarray(np.log(np.maximum(metres, self.scale_m / 300.0) / self.scale_m).astype(np.float32))

    def inputs(self, rows: Array) -> Array:
        """[rows, N_INPUTS + traits]: what is known before the next departure."""
        one = np.arange(len(rows))
        at = self.at[rows]
        x, y = self.x[rows, at], self.y[rows, at]
        gap, tomorrow = self._next_day(rows)
        out = np.zeros((len(rows), N_INPUTS + self.traits.shape[1]), np.float32)
        out[:, :6] = harmonics(self.now_h[rows])
        out[one, 6 + self.weekday[rows]] = 1.0
        out[:, 13] = self.busy[rows]
        out[:, 14] = np.log1p(self.today[rows])
        out[:, 15] = np.minimum(gap, 3) / 3.0
        out[:, 16] = tomorrow >= 5
        out[:, 17] = at == 0
        out[:, 18] = 0.5 * self.log_distance(np.hypot(x, y))
        out[:, 19] = 0.5 * self.waited[rows]
        out[:, 20] = 0.5 * self.moved[rows]
        out[:, 21] = self.explored[rows]
        out[:, 22] = 0.5 * np.log((self.count[rows] > 0).sum(axis=1))
        out[:, 23] = 0.5 * np.log(np.maximum(self.count[rows, at], 1.0))
        out[:, 24] = 0.5 * np.log1p(self.out[rows])
        out[:, 25] = self.now_h[rows] / 24.0
        out[:, 26] = 0.5 * self.stayed[rows, at]
        out[:, 27] = tomorrow == 0
        out[:, N_INPUTS:] = self.traits[rows]
        return out

    def choice_inputs(self, rows: Array, leave_h: Array) -> Array:
        """[rows, N_CHOICE]: what the departure, hours since today's midnight, adds."""
        out = np.zeros((len(rows), N_CHOICE), np.float32)
        out[:, :6] = harmonics(leave_h)
        tomorrow = self._next_day(rows)[1]
        weekday = np.where(leave_h >= 24.0, tomorrow, self.weekday[rows])
        out[np.arange(len(rows)), 6 + weekday] = 1.0
        out[:, 13] = leave_h >= 24.0
        out[:, 14] = 0.5 * np.log(np.maximum(leave_h - self.now_h[rows], 0.02))
        out[:, 15] = np.where(leave_h >= 24.0, 0.0, np.log1p(self.today[rows]))
        return out

    def place_inputs(self, rows: Array, leave_h: Array) -> tuple[Array, Array]:
        """[rows, SLOTS, N_PLACE] features of the remembered places, and which of them can be gone to."""
        at, one = self.at[rows], np.arange(len(rows))
        count = self.count[rows]
        known = count > 0
        out = np.zeros((len(rows), SLOTS, N_PLACE), np.float32)
        out[..., 0] = 0.0
        out[:, 0, 0] = 1.0
        out[..., 1] = np.log(np.maximum(count, 1.0) / count.sum(axis=1, keepdims=True))
        order = np.argsort(-count[:, 1:], axis=1, kind="stable")[:, :2] + 1
        out[one, order[:, 0], 2] = 1.0
        out[one, order[:, 1], 3] = 1.0
        hour = (24.0 * self.day[rows] + leave_h)[:, None]
        out[..., 4] = 0.3 * np.log(np.clip(hour - self.last_h[rows], 0.1, 1000.0))
        out[one, self.before[rows], 5] = 1.0
        dx, dy = self.x[rows] - self.x[rows, at][:, None], self.y[rows] - self.y[rows, at][:, None]
        out[..., 6] = 0.5 * self.log_distance(np.hypot(dx, dy))
        out[..., 7] = 0.5 * self.log_distance(np.hypot(self.x[rows], self.y[rows]))
        now = harmonics(leave_h)[:, None, :] * self.clock[rows]
        out[..., 8:11] = (now[..., :3] + now[..., 3:]) / np.maximum(count, 1.0)[..., None]
        out[..., 11] = self.weekend[rows] / np.maximum(count, 1.0)
        out[..., 12] = self.stayed[rows] * 0.5
        out[..., 13] = count == 1
        open_ = known.copy()
        open_[one, at] = False
        return out, open_

    def frame(self, rows: Array) -> tuple[Array, Array, Array]:
        """Distance to home, and the cosine and sine of the bearing towards it, of the current places."""
        at = self.at[rows]
        x, y = self.x[rows, at], self.y[rows, at]
        d = np.hypot(x, y)
        away = d > 1.0
        return d, np.where(away, -x / np.maximum(d, 1.0), 1.0), np.where(away, -y / np.maximum(d, 1.0), 0.0)

    def move(
        self, rows: Array, leave_h: Array, lasts_h: Array, slot: Array, x: Array, y: Array, place: Array | None = None
    ) -> None:
        """Let people leave for a slot (-1: a new place at x, y, whose slot may push another out)."""
        old = self.at[rows]
        self.stayed[rows, old] = np.log(np.maximum(leave_h - self.now_h[rows], 0.02))
        self.last_h[rows, old] = 24.0 * self.day[rows] + leave_h
        self.waited[rows] = np.log(np.maximum(leave_h - self.now_h[rows], 0.02))
        self.moved[rows] = self.log_distance(np.hypot(x - self.x[rows, old], y - self.y[rows, old]))
        self.explored[rows] = slot < 0
        slot = self._make_room(rows, slot, old)
        later = leave_h >= 24.0
        weekday = np.where(later, self._next_day(rows)[1], self.weekday[rows])
        self.day[rows] += later
        leave_h = np.where(later, leave_h - 24.0, leave_h)
        self.today[rows] = np.where(later, 1.0, self.today[rows] + 1.0)
        self.busy[rows] = True
        self.before[rows], self.at[rows] = old, slot
        self.x[rows, slot], self.y[rows, slot] = x, y
        if place is not None:
            self.place[rows, slot] = place
        self.count[rows, slot] += 1.0
        self.weekend[rows, slot] += weekday >= 5
        self.out[rows] = np.where(slot == 0, 0.0, self.out[rows] + 1.0)
        self._arrive(rows, leave_h + lasts_h)
        self.clock[rows, slot] += harmonics(self.now_h[rows])
        self.last_h[rows, slot] = 24.0 * self.day[rows] + self.now_h[rows]

    def _make_room(self, rows: Array, slot: Array, old: Array) -> Array:
        """A slot for each new place: a free one, else that of the place least and longest ago visited."""
        new = np.flatnonzero(slot < 0)
        if not len(new):
            return slot
        slot = slot.copy()
        who = rows[new]
        worth = np.where(self.count[who] > 0, self.count[who] + 1e-4 * np.maximum(self.last_h[who], 0.0), -1.0)
        worth[:, 0] = np.inf
        worth[np.arange(len(new)), old[new]] = np.inf
        free = np.argmin(worth, axis=1)
        slot[new] = free
        self.count[who, free] = 0.0
        self.weekend[who, free] = 0.0
        self.stayed[who, free] = 0.0
        self.clock[who, free] = 0.0
        return slot

    def _arrive(self, rows: Array, until_h: Array) -> None:
        """Move the clocks on; who arrives on a later day is then on it, if it is one with a trip."""
        days = np.floor(until_h / 24.0).astype(np.int64)
        self.now_h[rows] = until_h - 24.0 * days
        late = np.flatnonzero(days > 0)
        if not len(late):
            return
        who = rows[late]
        columns = self.days.shape[1]
        real = self.days[who, np.minimum(self.day[who], columns - 1)] + days[late]
        table = self.days[who]
        table = np.where(table < 0, np.iinfo(np.int32).max, table)
        next_day = (table < real[:, None]).sum(axis=1)
        exact = table[np.arange(len(who)), np.minimum(next_day, columns - 1)] == real
        beyond = next_day >= self.n_days[who]
        self.day[who] = np.where(beyond, self.n_days[who], next_day)
        self.now_h[who] = np.where(exact & ~beyond, self.now_h[who], 0.0)
        self.busy[who] = False
        self.today[who] = 0.0
