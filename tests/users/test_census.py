"""Journeys as an onlooker sees them, the street, and what is written down of people."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mndt.city.model import Ways
from mndt.state import Mode, Users
from mndt.users.census import SERVICE_NAMES, WATCH_S, Census
from mndt.users.journeys import UNSEEN, Journeys, follow
from mndt.users.street import MOST_M, Street, choose_street
from small_city import small_city


def grid(*, rows: int, columns: int, block_m: float) -> Ways:
    """Two-way streets of a rectangular grid, a lane each way."""
    node = np.arange(rows * columns).reshape(rows, columns)
    tail = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    head = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    tail, head = np.concatenate([tail, head]), np.concatenate([head, tail])
    x, y, n = node.ravel() % columns * block_m, node.ravel() // columns * block_m, len(tail)
    ends = np.stack([tail, head], axis=1).ravel()
    one = np.ones(n, np.int32)
    return Ways(
        x, y, np.zeros(node.size, bool), tail, head, np.full(n, block_m), np.full(n, 13.9), one, one,
        np.arange(n + 1) * 2, x[ends], y[ends],
    )  # fmt: skip


def users(mode: list[int], x: list[float], y: list[float] | None = None, area: list[int] | None = None) -> Users:
    n = len(mode)
    inside = [0 if m == Mode.INSIDE else -1 for m in mode]
    return Users(
        np.array(x, np.float32), np.array(y or [0.0] * n, np.float32), np.zeros(n, np.float32),
        np.array(mode, np.int8), np.array(area or inside, np.int32),
    )  # fmt: skip


class TestJourneys:
    def test_a_walk_to_the_car_and_a_drive_are_one_journey_by_car(self) -> None:
        seen = [
            users([Mode.INSIDE], [0.0], area=[4]),
            users([Mode.WALK], [1.0]),
            users([Mode.CAR], [11.0]),
            users([Mode.CAR], [31.0]),
            users([Mode.WALK], [32.0]),
            users([Mode.INSIDE], [34.0], area=[7]),
        ]
        journeys, ended, began = Journeys.of(seen[0]), None, 0
        for second, (before, after) in enumerate(itertools.pairwise(seen)):
            journeys, ended, n = follow(journeys, before, after, 100 + second)
            began += n
        assert ended is not None
        found = {f.name: getattr(ended, f.name).tolist() for f in fields(ended)}
        assert found == {
            "user": [0], "departure_s": [100], "mode": [Mode.CAR], "from_area": [4], "to_area": [7],
            "distance_m": [34.0],
        }  # fmt: skip
        assert began == 1
        assert journeys.mode.tolist() == [Mode.INSIDE]

    def test_who_was_under_way_at_first_sight_has_no_departure(self) -> None:
        first, then = users([Mode.BICYCLE], [0.0]), users([Mode.INSIDE], [3.0])
        _, ended, began = follow(Journeys.of(first), first, then, 5)
        assert ended.departure_s.tolist() == [UNSEEN]
        assert ended.mode.tolist() == [Mode.BICYCLE]
        assert began == 0

    def test_who_comes_onto_the_map_and_leaves_it_makes_no_jump(self) -> None:
        seen = [users([m], [x]) for m, x in ((-1, 0.0), (3, 500.0), (3, 510.0), (-1, 0.0))]
        journeys = Journeys.of(seen[0])
        for second, (before, after) in enumerate(itertools.pairwise(seen)):
            journeys, ended, _ = follow(journeys, before, after, second)
        assert ended.distance_m.tolist() == [10.0]
        assert ended.to_area.tolist() == [-1]


class TestStreet:
    def test_the_longest_straight_chain_of_a_grid(self) -> None:
        roads = grid(rows=3, columns=8, block_m=120.0)
        street = choose_street(roads)
        assert street is not None
        assert street.length_m == pytest.approx(7 * 120.0)
        assert len(set(np.round(street.y_m, 3))) == 1
        assert (roads.edge_from[street.edges[1:]] == roads.edge_to[street.edges[:-1]]).all()

    def test_an_important_class_wins_over_a_longer_one(self) -> None:
        roads = grid(rows=3, columns=9, block_m=120.0)
        upright = np.abs(roads.node_x_m[roads.edge_from] - roads.node_x_m[roads.edge_to]) < 1
        long = replace(roads, edge_rank=np.where(upright, 0, 1).astype(np.int32))
        assert choose_street(long).length_m == pytest.approx(8 * 120.0)  # 240 m of the first class are too little
        tall = grid(rows=7, columns=9, block_m=120.0)
        upright = np.abs(tall.node_x_m[tall.edge_from] - tall.node_x_m[tall.edge_to]) < 1
        tall = replace(tall, edge_rank=np.where(upright, 0, 1).astype(np.int32))
        assert choose_street(tall).length_m == pytest.approx(6 * 120.0)

    def test_it_ends_behind_its_greatest_length(self) -> None:
        street = choose_street(grid(rows=1, columns=30, block_m=120.0))
        assert MOST_M <= street.length_m < MOST_M + 120.0

    def test_who_is_on_it(self) -> None:
        street = choose_street(grid(rows=1, columns=8, block_m=100.0))
        assert street is not None
        (x0, x1), y0 = street.x_m[[0, -1]], street.y_m[0]
        ahead = np.sign(x1 - x0)
        x = [x0 + ahead * d for d in (50.0, 150.0, 250.0, 350.0, 450.0, 550.0)]
        y = [y0 - ahead * side for side in (1.6, 1.6, -1.6, 1.6, 20.0, 1.6)]
        modes = [Mode.CAR, Mode.BICYCLE, Mode.CAR, Mode.WALK, Mode.CAR, Mode.CAR]
        step = np.array([10, 4, -10, 1, 10, 0])  # along, along, the other way, on foot, beyond, standing
        after = users(modes, x, y)
        before = replace(after, x_m=(after.x_m - ahead * step).astype(np.float32))
        rows, at, _, mode = street.find(before, after)
        assert rows.tolist() == [0, 1, 5]
        assert at.tolist() == pytest.approx([50.0, 150.0, 550.0], abs=0.01)
        assert mode.tolist() == [Mode.CAR, Mode.BICYCLE, Mode.CAR]

    def test_a_bend_is_measured_along(self) -> None:
        roads = small_city().roads
        street = Street.of(roads, [0])
        assert street.length_m == pytest.approx(float(roads.edge_length_m[0]))

    def test_no_roads_no_street(self) -> None:
        roads = grid(rows=1, columns=2, block_m=100.0)
        none = np.zeros(0, np.int32)
        bare = {f.name: none for f in fields(roads) if f.name.startswith("edge")}
        assert choose_street(replace(roads, **bare, shape_start=np.zeros(1, np.int32))) is None


class Seconds:
    """People on whom the census is taken: user 0 works, user 1 rides for one second in two."""

    def __init__(self, cluster: np.ndarray | None, first_s: int = 0, street: Street | None = None) -> None:
        self.now = self._state(0)
        self.census = Census(Journeys.of(self.now.users), cluster, street, first_s)

    def _state(self, second: int) -> Any:
        mode = [Mode.INSIDE, Mode.CAR if second % 2 else Mode.INSIDE]
        return SimpleNamespace(
            users=users(mode, [0.0, 5.0 * second]),
            service=np.array([2, -1], np.int8),
            mobility=SimpleNamespace(n_disconnected=np.array([second // 10])),
        )

    def run(self, first: int, n: int) -> dict[str, dict[str, np.ndarray]]:
        for second in range(first, first + n):
            after = self._state(second + 1)
            kpis: Any = SimpleNamespace(time_s=second, user_offered_bits=np.array([1e6, 0.0], np.float32))
            self.census.add(self.now, after, kpis)
            self.now = after
        return self.census.tables()


class TestCensus:
    def test_a_minute(self) -> None:
        tables = Seconds(np.array([1, 2], np.int8)).run(0, 60)
        people = {name: values.tolist() for name, values in tables["people"].items()}
        assert people == {
            "time_s": [0], "seconds": [60], "absent": [0.0], "inside": [1.5], "walk": [0.0], "bicycle": [0.0],
            "car": [0.5], "started": [30], "arrived": [30], "disconnected": [6],
        }  # fmt: skip
        demand = tables["demand"]
        rows = zip(*(demand[k].tolist() for k in ("cluster", "service", "user_seconds", "offered_bits")), strict=True)
        assert sorted(rows) == [("office", SERVICE_NAMES[2], 60, 60e6), ("passer", "idle", 60, 0.0)]
        assert len(tables["journeys"]["user"]) == 30
        assert (tables["journeys"]["arrival_s"] - tables["journeys"]["departure_s"] == 2).all()

    def test_minutes_do_not_mix(self) -> None:
        seconds = Seconds(None)
        seconds.run(0, 60)
        second = seconds.run(60, 30)
        assert second["people"]["seconds"].tolist() == [30]
        assert second["people"]["disconnected"].tolist() == [3]
        assert set(second["demand"]["cluster"]) == {"unknown"}

    def test_the_street_is_watched_in_the_first_quarter_of_an_hour(self) -> None:
        watched = []
        street: Any = SimpleNamespace(find=lambda before, after: (np.zeros(1, np.int32),) * 4)
        seconds = Seconds(None, first_s=30, street=street)
        for begin in (30, 30 + WATCH_S - 10, 30 + WATCH_S, 30 + 3600):
            watched.append(len(seconds.run(begin, 20)["street"]["time_s"]))
        assert watched == [20, 10, 0, 20]
