"""A made-up travel diary for trying out what reads diaries; nobody's days, and not how the twin draws them."""

from __future__ import annotations

import numpy as np

from mndt.formats.diary import Diary

Array = np.ndarray
DAY_S = 86_400.0


def made_up_diary(n: int, rng: np.random.Generator, days: int = 14) -> Diary:
    """`n` people with a home, mostly a main place, and favourites, over some days.

    Half of the people keep office hours, a sixth works at night, the rest follows its own clock; outings
    have heavy-tailed distances and are more frequent from Friday to Sunday.
    """
    rows: list[tuple[int, float, float, int, int]] = []
    xy: list[Array] = []

    def place(at: Array) -> int:
        xy.append(at)
        return len(xy) - 1

    for person in range(n):
        home_at = rng.normal(0.0, 7000.0, 2)
        home = place(home_at)
        main_at = home_at + _jump(rng, rng.lognormal(np.log(5000.0), 0.8))
        main = place(main_at)
        favourites = [place(home_at + _jump(rng, rng.lognormal(np.log(1500.0), 0.9))) for _ in range(4)]
        turn = rng.random()
        begin = rng.normal(8.0, 0.7) if turn < 0.5 else rng.normal(21.5, 0.5) if turn < 0.67 else np.nan
        here, free = home, 0.0
        for day in range(days):
            weekday = day % 7
            wishes: list[tuple[float, int]] = []
            if begin == begin and weekday < 5 and rng.random() < 0.92:
                t = begin + rng.normal(0.0, 0.25)
                wishes += [(t, main), (t + rng.normal(8.4, 0.5), home)]
            if begin != begin or weekday >= 4 or rng.random() < 0.25:
                t = rng.normal(18.5, 1.0) if begin == begin and weekday < 5 else rng.normal(11.5, 2.5)
                for _ in range(rng.geometric(0.55)):
                    if rng.random() < 0.3:
                        far = home_at + _jump(rng, min(800.0 * (1.0 - rng.random()) ** -0.9, 150_000.0))
                        wishes.append((t, place(far)))
                    else:
                        wishes.append((t, favourites[min(int(rng.geometric(0.5)) - 1, 3)]))
                    t += 0.3 + rng.gamma(1.5, 0.8)
                wishes.append((t, home))
            for hour, there in wishes:
                depart = max(day * DAY_S + 3600.0 * hour, free + 300.0)
                if there == here:
                    continue
                distance = float(np.hypot(*(xy[there] - xy[here])))
                free = depart + 180.0 + distance / (2.0 + 10.0 * distance / (distance + 4000.0))
                rows.append((person, depart, free, here, there))
                here = there
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    unknown = np.full(len(rows), -1, np.int8)
    at = np.array(xy)
    return Diary(
        tuple(str(k) for k in np.unique(columns[0])), np.unique(columns[0], return_inverse=True)[1].astype(np.int32),
        columns[1], columns[2], columns[3].astype(np.int32), columns[4].astype(np.int32), unknown,
        unknown, at[:, 0], at[:, 1],
    )  # fmt: skip


def _jump(rng: np.random.Generator, distance_m: float) -> Array:
    angle = 2 * np.pi * rng.random()
    return distance_m * np.array([np.cos(angle), np.sin(angle)])
