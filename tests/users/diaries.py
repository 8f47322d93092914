"""Made-up travel diaries, each by a mechanism of its own; none of them is what the twin assumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

Trip = tuple[int, float, float, float, float, float, float, str, str]
"""person, departure s, arrival s, from x, from y, to x, to y, purpose, mode; since a Monday's midnight."""

DAY = 86_400.0
HOUR = 3600.0


def commuters(n: int = 250, days: int = 14, seed: int = 0) -> list[Trip]:
    """Regular people of one town: work on weekdays, favourite shops in the evening, outings at weekends."""
    rng = np.random.default_rng(seed)
    shops = rng.normal(0, 7000, (60, 2))
    out: list[Trip] = []
    for person in range(n):
        home = rng.normal(0, 6000, 2)
        angle = rng.random() * 2 * np.pi
        work = home + rng.lognormal(np.log(6000), 0.7) * np.array([np.cos(angle), np.sin(angle)])
        near = np.argsort(np.hypot(*(shops - home).T))[:3]
        begin, length, works = rng.normal(7.8, 0.7), rng.normal(8.6, 0.5), rng.random() < 0.75
        here = home
        for day in range(days):
            weekday = day % 7
            wishes: list[tuple[float, np.ndarray, str]] = []
            if weekday < 5 and works and rng.random() < 0.93:
                t = begin + rng.normal(0, 0.2)
                wishes.append((t, work, "work"))
                t += length + rng.normal(0, 0.4)
                if rng.random() < (0.35 if weekday == 4 else 0.15):
                    wishes.append((t, shops[near[rng.integers(3)]], "shop"))
                    t += 0.7 + rng.exponential(0.4)
                wishes.append((t, home, "home"))
            elif rng.random() < (0.6 if weekday == 6 else 0.8):
                t = rng.normal(10.5, 1.3)
                for _ in range(1 + rng.poisson(0.8)):
                    far = rng.random() < (0.3 if weekday >= 5 else 0.05)
                    place = home + rng.normal(0, 15000, 2) if far else shops[near[rng.integers(3)]]
                    wishes.append((t, place, "leisure" if far else "shop"))
                    t += 0.5 + rng.gamma(2, 1.0 if far else 0.4)
                wishes.append((t, home, "home"))
            free = 0.0
            for hour, place, purpose in wishes:
                go = day * DAY + max(hour * HOUR, free + 600)
                d = float(np.hypot(*(place - here)))
                if d < 1:
                    continue
                mode = "walk" if d < 900 else "bicycle" if d < 2500 else "car"
                takes = 120 + 1.3 * d / {"walk": 1.3, "bicycle": 4.0, "car": 9.0}[mode]
                out.append((person, go, go + takes, *here, *place, purpose, mode))
                free, here = go + takes - day * DAY, place
    return out


def wanderers(n: int = 200, days: int = 21, seed: int = 0) -> list[Trip]:
    """Exploration and preferential return with heavy tails over hundreds of kilometres, and a weekly rhythm."""
    rng = np.random.default_rng(seed)
    pull = np.array([0.8, 0.8, 0.9, 1.0, 1.5, 1.8, 0.6])
    out: list[Trip] = []
    for person in range(n):
        places = [rng.normal(0, 40_000, 2)]
        visits = [1.0]
        scale = rng.lognormal(0, 0.5)
        now, here = rng.exponential(0.3) * DAY, 0
        while now < days * DAY:
            if rng.random() < 0.6 * len(places) ** -0.21:
                d = min(1000.0 * scale * (1 - rng.random()) ** (-1 / 0.75), 400_000.0)
                angle = rng.random() * 2 * np.pi
                places.append(places[here] + d * np.array([np.cos(angle), np.sin(angle)]))
                visits.append(0.0)
                there = len(places) - 1
            else:
                weight = np.array(visits)
                weight[here] = 0
                there = int(rng.choice(len(places), p=weight / weight.sum())) if weight.sum() else here
            if there != here:
                d = float(np.hypot(*(places[there] - places[here])))
                takes = 300 + d / (5 + 20 * d / (d + 20_000))
                out.append((person, now, now + takes, *places[here], *places[there], "", ""))
                now, here = now + takes, there
            visits[here] += 1
            wait = 1800 * (1 - rng.random()) ** (-1 / 0.7)
            wait = min(wait, 2 * DAY)
            while True:  # thinned by the hour of the day and the day of the week
                t = now + wait
                hour, weekday = (t / HOUR) % 24, int(t // DAY) % 7
                awake = 0.05 if hour < 6 else 0.4 if hour < 9 or hour > 22 else 1.0
                if rng.random() < awake * pull[weekday] / 1.8:
                    break
                wait += rng.exponential(2500)
            now += wait
    return [trip for trip in out if trip[1] < days * DAY]


def shifts_and_couriers(n: int = 240, days: int = 10, seed: int = 0) -> list[Trip]:
    """Half work in rotating shifts, the night's over midnight; half explore in bursts of many stops."""
    rng = np.random.default_rng(seed)
    plants = np.array([[0, 0], [9000, 3000], [-5000, 12000.0]])
    out: list[Trip] = []
    for person in range(n):
        home = rng.uniform(-15000, 15000, 2)
        here, free = home, 0.0

        def go(t: float, place: np.ndarray, purpose: str, person: int = person) -> None:
            nonlocal here, free
            t = max(t, free + 120)
            d = float(np.hypot(*(place - here)))
            if d < 1:
                return
            takes = 60 + d / 8
            out.append((person, t, t + takes, *here, *place, purpose, "car"))
            here, free = place, t + takes

        if person % 2:
            plant, turn = plants[rng.integers(3)], int(rng.integers(3))
            for day in range(days):
                if (day + person) % 6 == 5:
                    continue
                shift = (turn + day // 5) % 3
                t = day * DAY + (5.4 + 8 * shift) * HOUR + rng.normal(0, 500)
                go(t, plant, "work")
                go(t + 8.6 * HOUR + rng.normal(0, 400), home, "home")
        else:
            for day in range(days):
                if day % 7 == 6 or rng.random() < 0.25:
                    continue
                t = day * DAY + rng.uniform(6, 11) * HOUR
                centre = home + rng.normal(0, 9000, 2)
                for _ in range(2 + rng.geometric(0.12)):
                    go(t, centre + rng.normal(0, 1500, 2), "delivery")
                    t = free + rng.lognormal(np.log(420), 0.6)
                go(t, home, "home")
    return out


def survey(n: int = 900, seed: int = 0) -> list[Trip]:
    """One day of each of many people, any day of the week."""
    rng = np.random.default_rng(seed)
    out: list[Trip] = []
    for person in range(n):
        day = int(rng.choice(7, p=[0.2, 0.18, 0.17, 0.16, 0.15, 0.09, 0.05]))
        home = rng.uniform(0, 30_000, 2)
        here, t = home, day * DAY + rng.choice([7.5, 9.5, 13.0], p=[0.5, 0.3, 0.2]) * HOUR + rng.normal(0, 1500)
        for stop in range(1 + rng.poisson(1.2)):
            place = home + rng.standard_t(2.5, 2) * 3500
            d = float(np.hypot(*(place - here)))
            out.append((person, t, t + 300 + d / 7, *here, *place, "other", "car" if d > 1500 else "walk"))
            here, t = place, t + 300 + d / 7 + rng.lognormal(np.log(6 * HOUR if stop == 0 else 1.2 * HOUR), 0.5)
        d = float(np.hypot(*(home - here)))
        out.append((person, t, t + 300 + d / 7, *here, *home, "home", "car" if d > 1500 else "walk"))
    return out


def grid_people(n: int = 300, days: int = 7, seed: int = 0) -> list[Trip]:
    """Everyone moves between 80 numbered zones of 2 km; the same zones for all."""
    rng = np.random.default_rng(seed)
    zone = np.stack(np.meshgrid(np.arange(10), np.arange(8)), -1).reshape(-1, 2) * 2000.0
    mass = rng.lognormal(0, 1, len(zone))
    gap = np.hypot(*(zone[:, None] - zone[None]).transpose(2, 0, 1))
    law = mass * np.exp(-gap / 4000)
    np.fill_diagonal(law, 0)
    law /= law.sum(1, keepdims=True)
    out: list[Trip] = []
    for person in range(n):
        home = int(rng.choice(len(zone), p=mass[::-1] / mass.sum()))
        main, here = int(rng.choice(len(zone), p=law[home])), home
        for day in range(days):
            t = day * DAY + rng.normal(8 if day < 5 else 11, 0.8) * HOUR
            stops = [main] if day < 5 else []
            stops += [int(rng.choice(len(zone), p=law[home])) for _ in range(rng.poisson(0.5 if day < 5 else 1.3))]
            for k, there in enumerate([*stops, home]):
                if there == here:
                    continue
                takes = 400 + gap[here, there] / 6
                out.append((person, t, t + takes, *zone[here], *zone[there], "", ""))
                stay = rng.normal(8.5, 0.8) * HOUR if k == 0 and day < 5 else rng.gamma(2, 0.6 * HOUR)
                here, t = there, t + takes + max(stay, 600)
    return out


def lines(trips: list[Trip]) -> Iterator[str]:
    """The diary in one of the shapes that can be read."""
    yield "person,day,departure,arrival,from_x_m,from_y_m,to_x_m,to_y_m,purpose,mode"
    for person, go, come, fx, fy, tx, ty, purpose, mode in sorted(trips, key=lambda t: (t[0], t[1])):
        day = int(go // DAY)
        a, b = (f"{int(s // HOUR):02d}:{int(s // 60) % 60:02d}:{int(s) % 60:02d}" for s in (go % DAY, come % DAY))
        yield f"p{person},{day},{a},{b},{fx:.1f},{fy:.1f},{tx:.1f},{ty:.1f},{purpose},{mode}"


def write(trips: list[Trip], path: Path) -> Path:
    path.write_text("\n".join(lines(trips)) + "\n")
    return path
