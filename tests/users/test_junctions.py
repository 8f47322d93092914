"""Junctions built for a city's roads: every turn is possible, nobody waits for who waits for him."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from road_grid import grid_ways

import mndt
from mndt.city.model import Ways
from mndt.users.driving._junction_lights import CYCLE_S, GREEN_S, INSIDE, MAIN, SECOND, phases_of
from mndt.users.driving._junction_turns import turns_of
from mndt.users.driving.junctions import BICYCLES, CARS
from mndt.users.driving.lane_map import LaneMap


def star(angles_deg: list[float], *, lanes: int = 1, rank: list[int] | None = None, light: bool = False) -> Ways:
    """Two-way streets of 100 m from one junction; edge 2 k leads in from the k-th, edge 2 k + 1 out to it."""
    a = np.deg2rad(angles_deg)
    x, y = np.append(0.0, 100.0 * np.cos(a)), np.append(0.0, 100.0 * np.sin(a))
    n = len(a)
    tail, head = np.zeros(2 * n, int), np.zeros(2 * n, int)
    tail[::2], head[1::2] = np.arange(1, n + 1), np.arange(1, n + 1)
    shape = np.column_stack([tail, head]).ravel()
    return Ways(
        node_x_m=x,
        node_y_m=y,
        node_signal=np.arange(n + 1) == (0 if light else -1),
        edge_from=tail,
        edge_to=head,
        edge_length_m=np.full(2 * n, 100.0),
        edge_speed_mps=np.full(2 * n, 13.89),
        edge_lanes=np.full(2 * n, lanes),
        edge_rank=np.repeat(rank if rank else [0] * n, 2),
        shape_start=np.arange(0, 4 * n + 1, 2),
        shape_x_m=x[shape],
        shape_y_m=y[shape],
    )


def link(m: LaneMap, start: int, end: int, lane: int = 1) -> int:
    """The car link from one edge to another."""
    rows = range(m.lane_link[m.edge_lane[start] + lane], m.lane_link[m.edge_lane[start] + lane + 1])
    return next(k for k in rows if m.lane_edge[m.link_to[k]] == end)


def yields(m: LaneMap, k: int) -> set[int]:
    return set(m.response[m.response_start[k] : m.response_start[k + 1]].tolist())


def every_turn_is_there(roads: Ways, m: LaneMap) -> None:
    have = {
        (a, b, c)
        for a, b, c in zip(
            m.lane_edge[m.link_from].tolist(),
            m.lane_edge[m.link_to].tolist(),
            (m.lane_classes[m.link_from] == BICYCLES).tolist(),
            strict=True,
        )
    }
    for e in range(roads.n_edges):
        ways = np.flatnonzero(roads.edge_from == roads.edge_to[e]).tolist()
        back = [f for f in ways if roads.edge_to[f] == roads.edge_from[e]]
        wanted = [f for f in ways if f not in back] or back
        assert all((e, f, by_bicycle) in have for f in wanted for by_bicycle in (False, True)), e


def jittered() -> Ways:
    return grid_ways(6, jitter_m=30.0, seed=4, one_way_share=0.3, signal_every=2, lanes=(1, 3))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("helsinki", "table1")]


@pytest.fixture(scope="module", params=["grid", *SLOW])
def town(request):
    made = {"grid": jittered, "helsinki": lambda: mndt.helsinki().roads, "table1": lambda: mndt.synthetic_city().roads}
    roads = made[request.param]()
    return roads, LaneMap.from_ways(roads)


def test_real_and_made_up_towns_can_be_driven_everywhere(town):
    roads, m = town
    every_turn_is_there(roads, m)
    assert (np.diff(m.lane_link) > 0)[m.lane_internal].all()
    np.testing.assert_array_equal(np.diff(m.edge_lane)[: roads.n_edges], roads.edge_lanes + 1)
    np.testing.assert_array_equal(m.lane_index[m.lane_classes == BICYCLES][: roads.n_edges], 0)


def test_lengths_along_a_town_stay_nearly_those_of_its_ways(town):
    roads, m = town
    first = m.lane_length_m[m.edge_lane[: roads.n_edges]]
    assert (first > 0).all()
    assert (first <= roads.edge_length_m).all()
    straight = np.flatnonzero((m.link_dir == ord("s")) & (m.link_index >= 0) & ~m.lane_internal[m.link_from])
    cut_m = roads.edge_length_m - first
    a, b = m.lane_edge[m.link_from[straight]], m.lane_edge[m.link_to[straight]]
    assert np.median(m.link_length_m[straight] / np.maximum(0.5 * (cut_m[a] + cut_m[b]), 1.0)) == pytest.approx(
        1.0, abs=0.25
    )


def test_shapes_hang_together(town):
    _, m = town
    for k in np.flatnonzero(m.lane_internal[m.link_next] | m.lane_internal[m.link_from])[::7]:
        a, b = m.link_from[k], m.link_next[k]
        end, start = m.shape[:2, m.shape_start[a + 1] - 1], m.shape[:2, m.shape_start[b]]
        assert np.hypot(*(end - start)) < 0.2


def test_right_of_way_is_an_order(town):
    """Who yields to whom has no circle, at any junction."""
    _, m = town
    entries = np.flatnonzero(~m.lane_internal[m.link_from])
    for junction in np.unique(m.link_junction[entries]):
        links = entries[m.link_junction[entries] == junction]
        left = {int(k): yields(m, k) & set(links.tolist()) for k in links}
        while left:
            free = [k for k, foes in left.items() if not foes & left.keys()]
            assert free, m.junction_name[junction]
            for k in free:
                del left[k]


def test_of_two_that_are_in_each_others_way_one_yields(town):
    _, m = town
    for k in np.flatnonzero(~m.lane_internal[m.link_from])[::5]:
        for foe in m.foe[m.foe_start[k] : m.foe_start[k + 1]]:
            if not m.lane_internal[m.link_from[foe]]:
                assert (foe in yields(m, k)) != (k in yields(m, foe))


def test_cars_never_yield_to_bicycles(town):
    _, m = town
    for k in np.flatnonzero((m.lane_classes[m.link_from] == CARS) & ~m.lane_internal[m.link_from]):
        assert all(m.lane_classes[m.link_from[foe]] == CARS for foe in yields(m, k))


def test_links_with_green_at_once_do_not_both_go_first(town):
    _, m = town
    lit = np.flatnonzero(m.link_signal >= 0)
    row = m.signal_start[m.link_signal[lit]]
    state = m.signal_state[row[:, None] + np.arange(CYCLE_S)]
    column = {int(k): n for n, k in enumerate(lit)}
    for k in lit[::3]:
        for foe in m.foe[m.foe_start[k] : m.foe_start[k + 1]]:
            if int(foe) in column:
                both = (state[column[int(k)]] == ord("G")) & (state[column[int(foe)]] == ord("G"))
                assert not both.any()


def test_the_more_important_road_goes_first():
    m = LaneMap.from_ways(star([0, 90, 180, 270], rank=[1, 0, 1, 0]))
    side, main = link(m, 0, 5), link(m, 2, 7)  # westwards, southwards
    assert main in yields(m, side)
    assert side not in yields(m, main)
    assert (chr(m.link_state[main]), chr(m.link_state[side])) == ("M", "m")


def test_who_turns_left_yields_to_oncoming_traffic_and_waits_inside():
    m = LaneMap.from_ways(star([0, 90, 180, 270], light=True))
    left, oncoming = link(m, 0, 7), link(m, 4, 1)  # from the east to the south, from the west to the east
    assert oncoming in yields(m, left)
    assert m.link_cont[left]
    waits = m.link_exit[left]
    assert m.lane_internal[m.link_next[waits]]
    assert oncoming in yields(m, waits)
    place = m.link_next[left]
    y = m.shape[1, m.shape_start[place + 1] - 1]
    assert abs(y - -1.6) > 2.5  # the oncoming lane lies at y = -1.6 m: half a car and half a lane away from its middle
    assert not m.link_cont[oncoming]


def test_lanes_lie_at_the_right_of_the_street():
    m = LaneMap.from_ways(star([0, 180], lanes=2))
    y = m.shape[1, m.shape_start[m.edge_lane[2] : m.edge_lane[3]]]  # from the west, eastwards
    np.testing.assert_allclose(y, [-7.2, -4.8, -1.6])


def test_nobody_turns_round_where_there_is_another_way():
    m = LaneMap.from_ways(star([0, 90, 200]))
    assert all(m.lane_edge[m.link_to[k]] != 1 for k in range(m.lane_link[0], m.lane_link[2]))
    back = [k for k in range(m.n_links) if chr(m.link_dir[k]) == "t" and not m.lane_internal[m.link_from[k]]]
    assert len(back) == 2 * 3  # at the three dead ends, by car and by bicycle


def test_roundabouts_go_first():
    n = 8
    a = 2 * np.pi * np.arange(n) / n
    x, y = np.append(20 * np.cos(a), 100 * np.cos(a)), np.append(20 * np.sin(a), 100 * np.sin(a))
    ring = [(k, (k + 1) % n) for k in range(n)]
    tail, head = np.array(ring + [(n + k, k) for k in range(n)] + [(k, n + k) for k in range(n)]).T
    shape = np.column_stack([tail, head]).ravel()
    roads = Ways(
        node_x_m=x,
        node_y_m=y,
        node_signal=np.zeros(2 * n, bool),
        edge_from=tail,
        edge_to=head,
        edge_length_m=np.hypot(x[tail] - x[head], y[tail] - y[head]),
        edge_speed_mps=np.full(3 * n, 13.89),
        edge_lanes=np.ones(3 * n, int),
        edge_rank=np.repeat([3, 0, 0], n),  # important roads lead to it
        shape_start=np.arange(0, 6 * n + 1, 2),
        shape_x_m=x[shape],
        shape_y_m=y[shape],
    )
    m = LaneMap.from_ways(roads)
    for k in range(n):
        inside, enters = link(m, k, (k + 1) % n), link(m, n + (k + 1) % n, (k + 1) % n)
        assert inside in yields(m, enters)
        assert enters not in yields(m, inside)


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.integers(1, 4)), min_size=1, max_size=5),
    st.booleans(),
)
def test_every_lane_leads_on_and_every_way_is_led_to(n_lanes, ways, short):
    angles, targets = zip(*sorted(ways), strict=True)
    turns = turns_of(n_lanes, angles, targets, short=short)
    assert {turn.lane for turn in turns} == set(range(n_lanes))
    assert {turn.out for turn in turns} == set(range(len(ways)))
    assert all(0 <= turn.target < targets[turn.out] for turn in turns)
    if short:
        assert {(turn.lane, turn.out) for turn in turns} == {(k, j) for k in range(n_lanes) for j in range(len(ways))}
    else:  # from right to left: paths of neighbours do not cross
        for a, b in pairwise(sorted({(turn.lane, turn.out) for turn in turns})):
            assert a[1] <= b[1]


def test_a_light_has_two_phases_and_a_clearing_time():
    phases = phases_of([MAIN, SECOND, INSIDE, SECOND], [set(), {0, 2}, set(), {1}], False)
    assert sum(seconds for seconds, _ in phases) == CYCLE_S
    assert [letters for _, letters in phases] == ["GrGr", "yrGr", "rrGr", "rgGg", "ryGy", "rrGr"]
    assert phases[0][0] == GREEN_S
