"""Turning a network of named parts into the arrays of a `LaneMap`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from mndt.errors import InputError
from mndt.formats.sumo_net import SumoConnection, SumoJunction, SumoNet
from mndt.users.driving._conflicts import Links, Shapes, Siblings, apart_at_start, begins_beside, conflicts
from mndt.users.driving.lane_map import starts

Array = np.ndarray

STRAIGHT_M = 1e9


def assemble(net: SumoNet) -> dict[str, Any]:
    """All fields of a `LaneMap`."""
    parts = _Parts(net)
    fields = _lanes(parts)
    fields |= _edges(parts)
    fields |= _links(parts, fields)
    fields |= _rights(parts, fields)
    return fields | _signals(net, parts)


class _Parts:
    """Names of everything, and its rows."""

    def __init__(self, net: SumoNet) -> None:
        self.net = net
        self.edges = [e for e in net.edges if not e.internal] + [e for e in net.edges if e.internal]
        self.lanes = [lane for edge in self.edges for lane in edge.lanes]
        self.edge_lane = np.cumsum([0] + [len(edge.lanes) for edge in self.edges]).astype(np.int32)
        self.edge_row = {edge.name: row for row, edge in enumerate(self.edges)}
        self.lane_row = {lane.name: row for row, lane in enumerate(self.lanes)}
        self.junctions = [j for j in net.junctions if j.kind != "internal"]
        self.waiting_places = [j for j in net.junctions if j.kind == "internal"]
        names = [j.name for j in self.junctions]
        known = set(names)
        for edge in self.edges:  # junctions that no element describes
            for name in (edge.start, edge.end):
                if name not in known:
                    known.add(name)
                    names.append(name)
        self.junction_name = tuple(names)
        self.junction_row = {name: row for row, name in enumerate(names)}
        lanes = [self.lane(link.start) for link in net.connections]
        order = np.argsort(np.array(lanes, np.int64), kind="stable")
        self.connections: list[SumoConnection] = [net.connections[k] for k in order]
        self.link_from = np.array([lanes[k] for k in order], np.int64)
        self.lane_link = starts(self.link_from, len(self.lanes))

    def lane(self, place: tuple[str, int]) -> int:
        return int(self.edge_lane[self.edge_row[place[0]]]) + place[1]

    def links_of(self, lane: int) -> range:
        return range(self.lane_link[lane], self.lane_link[lane + 1])


def _lanes(parts: _Parts) -> dict[str, Any]:
    lanes, count = parts.lanes, np.diff(parts.edge_lane)
    edge = np.repeat(np.arange(len(parts.edges)), count).astype(np.int32)
    points = np.array([point for lane in lanes for point in lane.shape], np.float64).reshape(-1, 2)
    per_lane = np.array([len(lane.shape) for lane in lanes], np.int64)
    start = np.concatenate(([0], np.cumsum(per_lane))).astype(np.int32)
    length_m = np.array([lane.length_m for lane in lanes])
    return {
        "lane_edge": edge,
        "lane_index": (np.arange(len(lanes)) - parts.edge_lane[edge]).astype(np.int32),
        "lane_length_m": length_m,
        "lane_limit_mps": np.array([lane.speed_mps for lane in lanes]),
        "lane_width_m": np.array([lane.width_m for lane in lanes]),
        "lane_internal": np.array([e.internal for e in parts.edges], bool)[edge],
        "lane_classes": np.array([lane.classes for lane in lanes], np.uint16),
        "lane_link": parts.lane_link,
        "shape_start": start,
        "shape": np.stack([*points.T, _along(points, start, length_m)]),
        "lane_name": tuple(lane.name for lane in lanes),
    }


def _along(points: Array, start: Array, length_m: Array) -> Array:
    """Distance of every point from its lane's start, scaled so that the last lies at the lane's length."""
    step = np.hypot(*np.diff(points, axis=0, prepend=points[:1]).T)
    along = np.cumsum(step)
    along -= np.repeat(along[start[:-1]], np.diff(start))
    drawn_m = np.maximum(along[start[1:] - 1], 1e-9)
    return np.asarray(along * np.repeat(length_m / drawn_m, np.diff(start)))


def _edges(parts: _Parts) -> dict[str, Any]:
    edges, row = parts.edges, parts.junction_row
    return {
        "edge_lane": parts.edge_lane,
        "edge_from": np.array([row[e.start] for e in edges], np.int32),
        "edge_to": np.array([row[e.end] for e in edges], np.int32),
        "edge_internal": np.array([e.internal for e in edges], bool),
        "edge_priority": np.array([e.priority for e in edges], np.int32),
        "edge_name": tuple(e.name for e in edges),
        "junction_name": parts.junction_name,
    }


def _links(parts: _Parts, lanes: dict[str, Any]) -> dict[str, Any]:
    links = parts.connections
    to = np.array([parts.lane(link.end) for link in links], np.int64)
    via = np.array([parts.lane_row[link.via] if link.via else -1 for link in links], np.int64)
    following = np.where(via >= 0, via, to)
    internal = lanes["lane_internal"]
    first = np.where(np.diff(parts.lane_link) > 0, parts.lane_link[:-1], -1)
    entry = np.full(len(internal), -1, np.int32)
    entry[via[via >= 0]] = np.flatnonzero(via >= 0)
    ends = np.stack([lanes["shape"][:2, lanes["shape_start"][1:] - 1], lanes["shape"][:2, lanes["shape_start"][:-1]]])
    gap_m = np.hypot(*(ends[0][:, parts.link_from] - ends[1][:, to]))
    return {
        "lane_entry": entry,
        "link_from": parts.link_from.astype(np.int32),
        "link_to": to.astype(np.int32),
        "link_next": following.astype(np.int32),
        "link_exit": np.where(internal[following], first[following], -1).astype(np.int32),
        "link_dir": _letters(link.direction for link in links),
        "link_state": _letters(link.state for link in links),
        "link_keep_clear": np.array([link.keep_clear for link in links], bool),
        "link_length_m": np.where(via >= 0, lanes["lane_length_m"][following], gap_m),
        "link_visibility_m": np.array([link.visibility_m for link in links]),
        "link_radius_m": _radii(parts, lanes, to, following, entry),
    }


def _letters(letters: Iterable[str]) -> Array:
    return np.array([ord(letter[0]) for letter in letters], np.uint8)


def _radii(parts: _Parts, lanes: dict[str, Any], to: Array, following: Array, entry: Array) -> Array:
    """Length over angle of the curve that a link leaves; right turns and straight ones have none."""
    shape, start, internal = lanes["shape"], lanes["shape_start"], lanes["lane_internal"]
    step = np.hypot(*np.diff(shape[:2], axis=1, prepend=shape[:2, :1]))
    step[start[:-1]] = 0.0
    drawn_m = np.add.reduceat(step, start[:-1])
    radius_m = np.full(len(to), STRAIGHT_M)
    for k, link in enumerate(parts.connections):
        own = int(parts.link_from[k])
        if not internal[own] or link.direction in "sr" or entry[own] < 0:
            continue
        before = int(parts.link_from[entry[own]])
        length_m = drawn_m[own]
        if internal[before]:
            length_m += drawn_m[before]
            before = int(parts.link_from[entry[before]])
        elif internal[following[k]]:
            length_m += drawn_m[following[k]]
        d = shape[:2, start[before + 1] - 1] - shape[:2, start[before + 1] - 2]
        e = shape[:2, start[to[k]] + 1] - shape[:2, start[to[k]]]
        turn = abs(np.arctan2(d[0] * e[1] - d[1] * e[0], d @ e))
        radius_m[k] = min(length_m / turn, STRAIGHT_M) if turn > 0 else STRAIGHT_M
    return radius_m


def _rights(parts: _Parts, fields: dict[str, Any]) -> dict[str, Any]:
    """Who yields to whom, junction by junction, then the places where lanes inside meet."""
    tables = _Tables(parts, fields)
    for junction in parts.junctions:
        tables.junction(junction)
    for place in parts.waiting_places:
        tables.waiting_place(place)
    n = len(parts.connections)
    response, foe = tables.response, {k: sorted(v) for k, v in tables.foe.items()}
    return {
        "link_index": tables.index,
        "link_cont": tables.cont,
        "link_has_foes": tables.has_foes,
        "link_junction": fields["edge_to"][fields["lane_edge"][parts.link_from]].astype(np.int32),
        **_rows("response", response, n),
        **_rows("foe", foe, n),
        **_meetings(parts, fields, tables.foe_lanes),
    }


def _rows(name: str, lists: dict[int, list[int]], n: int) -> dict[str, Any]:
    count = [len(lists.get(k, ())) for k in range(n)]
    values = [v for k in range(n) for v in lists.get(k, ())]
    start = np.concatenate(([0], np.cumsum(count))).astype(np.int32)
    return {f"{name}_start": start, name: np.array(values, np.int32)}


class _Tables:
    """Right of way as lists of links and lanes."""

    def __init__(self, parts: _Parts, fields: dict[str, Any]) -> None:
        n = len(parts.connections)
        self.parts, self.internal = parts, fields["lane_internal"]
        self.next, self.exit, self.entry = fields["link_next"], fields["link_exit"], fields["lane_entry"]
        self.index, self.cont, self.has_foes = np.full(n, -1, np.int32), np.zeros(n, bool), np.zeros(n, bool)
        self.response: dict[int, list[int]] = {}
        self.foe: dict[int, set[int]] = defaultdict(set)
        self.foe_lanes: dict[int, list[int]] = {}
        self.bits: dict[int, int] = {}

    def _second_part(self, link: int) -> int:
        """The link at the waiting place inside the junction that `link` leads to, -1 = none."""
        leaving = int(self.exit[link])
        return leaving if leaving >= 0 and self.internal[self.next[leaving]] else -1

    def _block(self, link: int, foe: int) -> None:
        self.foe[link].add(foe)
        self.foe[foe].add(link)

    def junction(self, junction: SumoJunction) -> None:
        parts = self.parts
        lanes = [parts.lane_row[name] for name in junction.incoming if name in parts.lane_row]
        links = [k for lane in lanes for k in parts.links_of(lane)]
        inside = [parts.lane_row.get(name, -1) for name in junction.internal]
        if len(links) > len(junction.requests):
            if junction.requests:
                _no_table(junction, len(links))
            return
        any_foes = any(request.foes for request in junction.requests)
        for k, (link, request) in enumerate(zip(links, junction.requests, strict=False)):
            self.index[link], self.cont[link], self.has_foes[link] = k, request.cont, any_foes
            self.bits[link] = request.response
            yielding = [foe for c, foe in enumerate(links) if request.response >> c & 1]
            self.response[link] = [v for foe in yielding for v in (foe, self._second_part(foe)) if v >= 0]
            lanes_met: list[int] = []
            for c, foe in enumerate(links):
                if not request.foes >> c & 1:
                    continue
                self._block(link, foe)
                if (second := self._second_part(foe)) >= 0:
                    self._block(link, second)
                if c < len(inside) and inside[c] >= 0:
                    lanes_met.append(inside[c])
                    before = int(parts.link_from[self.entry[inside[c]]])
                    if request.response >> c & 1 and self.internal[before]:
                        lanes_met.append(before)
            leaving = int(self.exit[link])
            if leaving >= 0 and not request.cont:
                self.index[leaving] = k
                self.foe_lanes[leaving] = lanes_met

    def waiting_place(self, place: SumoJunction) -> None:
        parts = self.parts
        rows = [parts.lane_row[name] for name in place.incoming if name in parts.lane_row]
        if not rows or not self.internal[rows[0]] or not parts.links_of(rows[0]):
            return
        own = parts.links_of(rows[0])[0]
        entry = int(self.entry[rows[0]])
        response, met = self.bits.get(entry, 0), list[int]()
        for lane in (parts.lane_row[name] for name in place.internal if name in parts.lane_row):
            for link in parts.links_of(lane):
                if not self.internal[self.next[link]]:
                    met.append(lane)
                    continue
                index = int(self.index[self.entry[lane]])
                if index >= 0 and response >> index & 1:
                    met.append(lane)
                met.append(int(self.next[link]))
        arriving = [k for lane in rows[1:] for k in parts.links_of(lane)]
        yielding = [k for k in arriving if self.index[k] >= 0 and response >> int(self.index[k]) & 1]
        foes = [v for k in yielding for v in (k, self._second_part(k)) if v >= 0]
        leaving = int(self.exit[own])
        self.index[own], self.has_foes[own] = self.index[entry], True
        self.response[own], self.foe_lanes[own] = foes, met
        for foe in foes:
            self._block(own, foe)
        if leaving >= 0:
            self.index[leaving], self.foe_lanes[leaving] = self.index[entry], met


def _no_table(junction: SumoJunction, links: int) -> None:
    where = f"junction '{junction.name}'"
    fix = "build the net again"
    raise InputError("requests", len(junction.requests), allowed=f"{links}, one per link", fix=fix, where=where)


def _meetings(parts: _Parts, fields: dict[str, Any], foe_lanes: dict[int, list[int]]) -> dict[str, Any]:
    internal, entry = fields["lane_internal"], fields["lane_entry"]
    start, shape = fields["shape_start"], fields["shape"]
    step = np.hypot(*np.diff(shape[:2], axis=1, prepend=shape[:2, :1]))
    step[start[:-1]] = 0.0
    drawn_m = np.add.reduceat(step, start[:-1])
    shapes = Shapes(start, shape[0], shape[1], fields["lane_width_m"], fields["lane_length_m"], drawn_m)
    first = np.where(np.diff(parts.lane_link) > 0, parts.lane_link[:-1], -1).astype(np.int64)
    links = Links(
        parts.link_from, fields["link_to"].astype(np.int64), fields["link_next"], first, internal, fields["lane_edge"]
    )
    foes = np.array([(k, lane) for k, lanes in foe_lanes.items() for lane in lanes], np.int64).reshape(-1, 2).T
    siblings = _siblings(parts, fields, shapes, foe_lanes)
    before = parts.link_from[np.maximum(entry[parts.link_from], 0)]
    after_waiting = (entry[parts.link_from] >= 0) & internal[before]
    found = conflicts(shapes, links, (foes[0], foes[1]), siblings, after_waiting)
    return {
        "conflict_start": starts(found.link, len(parts.connections)),
        "conflict_lane": found.lane.astype(np.int32),
        "conflict_flag": found.flag.astype(np.uint8),
        "conflict_behind_m": found.behind_m,
        "conflict_size_m": found.size_m,
        "conflict_foe_behind_m": found.foe_behind_m,
        "conflict_foe_size_m": found.foe_size_m,
    }


def _siblings(parts: _Parts, fields: dict[str, Any], shapes: Shapes, foe_lanes: dict[int, list[int]]) -> Siblings:
    """Links that leave lanes inside junctions, with the other lanes inside that come from the same lane.

    Besides lanes that begin together these are the second parts of ways with a waiting place, where they begin
    beside the other lane.
    """
    entry, following, leaving = fields["lane_entry"], fields["link_next"], fields["link_exit"]
    internal = fields["lane_internal"]
    together, later = list[tuple[int, int]](), list[tuple[int, int, int]]()
    for link in foe_lanes:
        own = int(parts.link_from[link])
        for other in parts.links_of(int(parts.link_from[entry[own]])):
            lane = int(following[other])
            if lane != own and internal[lane]:
                together.append((link, lane))
                if leaving[other] >= 0 and internal[following[leaving[other]]]:
                    later.append((link, lane, int(following[leaving[other]])))
    begin, beside_it = np.array(together, np.int64).reshape(-1, 2).T
    near = ~apart_at_start(shapes, parts.link_from[begin], beside_it)
    own_link, first, second = np.array(later, np.int64).reshape(-1, 3).T
    beside = begins_beside(shapes, parts.link_from[own_link], second)
    own_link, second, before_m = own_link[beside], second[beside], shapes.length_m[first[beside]]
    none, nothing = np.zeros(near.sum()), np.zeros(len(second))
    return Siblings(
        np.concatenate([begin[near], own_link, parts.lane_link[second].astype(np.int64)]),
        np.concatenate([beside_it[near], second, parts.link_from[own_link]]),
        np.concatenate([none, nothing, before_m]),
        np.concatenate([none, before_m, nothing]),
    )


def _signals(net: SumoNet, parts: _Parts) -> dict[str, Any]:
    """State letters of every light's links, second by second of its cycle."""
    first, cycles, states = dict[str, int](), list[int](), list[Array]()
    for signal in net.signals.values():
        durations = np.array([duration for duration, _ in signal.phases])
        cycle_s = float(durations.sum())
        if cycle_s != int(cycle_s):
            where, allowed = f"tlLogic '{signal.name}'", "a whole number of seconds"
            raise InputError("cycle", f"{cycle_s:g} s", allowed=allowed, fix="change a phase", where=where)
        at_s = (np.arange(int(cycle_s)) - signal.offset_s) % cycle_s
        phase = np.searchsorted(np.cumsum(durations), at_s, side="right")
        letters = np.array([[ord(letter) for letter in state] for _, state in signal.phases], np.uint8)
        first[signal.name] = len(cycles)
        cycles += [int(cycle_s)] * letters.shape[1]
        states += list(letters[phase].T)
    lights = [first[link.signal] + link.signal_index if link.signal else -1 for link in parts.connections]
    return {
        "link_signal": np.array(lights, np.int32),
        "signal_start": np.concatenate(([0], np.cumsum(cycles))).astype(np.int32),
        "signal_cycle_s": np.array(cycles, np.int32),
        "signal_state": np.concatenate(states) if states else np.zeros(0, np.uint8),
    }
