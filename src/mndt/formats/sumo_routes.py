"""Vehicles, their types, routes and stops from SUMO's route files (``.rou.xml``) and additional files.

What is read are vehicles and flows with whole routes; trips that still need a route do not belong to
a replay and are refused (https://sumo.dlr.de/docs/Definition_of_Vehicles,_Vehicle_Types,_and_Routes.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from mndt.errors import InputError, unknown_name
from mndt.formats._sumo_xml import Element, read_sumo_xml

Array = np.ndarray

WORDS: Final = {
    "departLane": ("random", "free", "best", "allowed", "first", "best_prob"),
    "departPos": ("random", "free", "random_free", "base", "last", "stop"),
    "departSpeed": ("random", "max", "desired", "speedLimit", "last", "avg"),
    "arrivalPos": ("random", "center", "max"),
}
"""Words that may stand in place of a number; the first is coded as -1, the second as -2, and so on."""

_DEFAULTS: Final = {"departLane": "best_prob", "departPos": "base", "departSpeed": "avg", "arrivalPos": "max"}
_ROOTS: Final = ("routes", "additional", "add")
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_LONGEST_FLOW: Final = 10_000_000

# class: length, gap, accel, decel, emergency decel, sigma, deviation of the speed factor, top speed in km/h, desired
_BY_CLASS: Final = {
    "passenger": (5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 0.1, 200.0, 10_000.0),
    "taxi": (5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 0.05, 200.0, 10_000.0),
    "ignoring": (5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 0.0, 200.0, 10_000.0),
    "authority": (5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 0.0, 200.0, 10_000.0),
    "emergency": (6.5, 2.5, 2.6, 4.5, 9.0, 0.5, 0.0, 200.0, 10_000.0),
    "delivery": (6.5, 2.5, 2.6, 4.5, 9.0, 0.5, 0.05, 200.0, 10_000.0),
    "truck": (7.1, 2.5, 1.3, 4.0, 7.0, 0.5, 0.05, 130.0, 10_000.0),
    "trailer": (16.5, 2.5, 1.1, 4.0, 7.0, 0.5, 0.05, 130.0, 10_000.0),
    "bus": (12.0, 2.5, 1.2, 4.0, 7.0, 0.5, 0.0, 100.0, 10_000.0),
    "coach": (14.0, 2.5, 2.0, 4.0, 7.0, 0.5, 0.05, 100.0, 10_000.0),
    "tram": (22.0, 2.5, 1.0, 3.0, 7.0, 0.0, 0.0, 80.0, 10_000.0),
    "motorcycle": (2.2, 2.5, 6.0, 10.0, 10.0, 0.5, 0.1, 200.0, 10_000.0),
    "moped": (2.1, 2.5, 1.1, 7.0, 10.0, 0.5, 0.1, 60.0, 10_000.0),
    "bicycle": (1.6, 0.5, 1.2, 3.0, 7.0, 0.5, 0.1, 50.0, 20.0),
}


class SumoKind(NamedTuple):
    """A type of vehicle; defaults are those of its class in SUMO 1.28."""

    name: str
    vehicle_class: str
    length_m: float
    min_gap_m: float
    accel_mps2: float
    decel_mps2: float
    emergency_decel_mps2: float
    sigma: float
    tau_s: float
    max_speed_mps: float
    desired_mps: float  # times the own speed factor: the most a driver of the class cares to drive
    speed_factor: float
    speed_deviation: float
    speed_least: float
    speed_most: float
    lane_change: dict[str, float]  # parameters named lc..., as given


@dataclass(frozen=True)
class SumoRoutes:
    """Vehicles in order of departure.

    Vehicle v is of one of the kinds ``choice_start[g]:choice_start[g + 1]`` of `choice_kind`, where
    g = `vehicle_choice[v]`, with the chances in `choice_share` (that add up to 1 within g). Its stops are
    rows ``stop_start[v]:stop_start[v + 1]``. Numbers below zero in depart_lane, depart_pos_m, depart_speed_mps
    and arrival_pos_m stand for the words of `WORDS`, except that positions under -100 count from the lane's end,
    100 added: -101 m is 1 m before its end.
    """

    name: tuple[str, ...]
    depart_s: Float64[Array, "vehicles"]
    route: tuple[tuple[str, ...], ...]  # names of edges
    vehicle_choice: Int32[Array, "vehicles"]
    depart_lane: Int32[Array, "vehicles"]
    depart_pos_m: Float64[Array, "vehicles"]
    depart_speed_mps: Float64[Array, "vehicles"]
    arrival_pos_m: Float64[Array, "vehicles"]
    kinds: tuple[SumoKind, ...]
    choice_start: Int32[Array, "choices_plus_1"]
    choice_kind: Int32[Array, "choice_rows"]
    choice_share: Float64[Array, "choice_rows"]
    stop_start: Int32[Array, "vehicles_plus_1"]
    stop_lane: tuple[str, ...]
    stop_from_m: Float64[Array, "stops"]
    stop_to_m: Float64[Array, "stops"]
    stop_duration_s: Float64[Array, "stops"]
    stop_until_s: Float64[Array, "stops"]  # not before; -1 = as soon as the duration is over
    notes: tuple[str, ...] = ()  # what was passed over, in words

    def edges(self, edge_name: Sequence[str]) -> tuple[Int32[Array, "vehicles_plus_1"], Int32[Array, "route_edges"]]:
        """Routes as rows of `edge_name`: where each vehicle's begins, and edges.

        Raises:
            InputError: an edge that the network does not have.
        """
        row = {name: k for k, name in enumerate(edge_name)}
        start = np.cumsum([0] + [len(route) for route in self.route]).astype(np.int32)
        try:
            edges = [row[name] for route in self.route for name in route]
        except KeyError as error:
            where, fix = f"route of '{self._whose(str(error.args[0]))}'", "give the network that it was made for"
            raise InputError("edge", f"'{error.args[0]}'", allowed="an edge there is", fix=fix, where=where) from None
        return start, np.array(edges, np.int32)

    def _whose(self, edge: str) -> str:
        return next(name for name, route in zip(self.name, self.route, strict=True) if edge in route)


class _Stop(NamedTuple):
    lane: str
    from_m: float
    to_m: float
    duration_s: float
    until_s: float


class _Vehicle(NamedTuple):
    name: str
    depart_s: float
    kind: str
    route: tuple[str, ...] | str  # edges, or the name of a route
    codes: tuple[float, float, float, float]
    stops: tuple[_Stop, ...]
    where: str


def read_routes(path: str | Path | Iterable[str | Path], additional: Iterable[str | Path] = ()) -> SumoRoutes:
    """Read vehicles that know their routes.

    Args:
        path: one route file or several, plain or gzip.
        additional: files with vehicle types and bus stops.

    Raises:
        InputError: unreadable files, vehicles without a route, unknown types, routes or stops; with file and line.

    The rush hour of Bologna::

        files = ["joined.rou.xml.gz", "joined_busses.rou.xml"]
        routes = read_routes(files, ["joined_vtypes.add.xml", "joined_bus_stops.add.xml"])
        print(len(routes.name), "vehicles")
    """
    reader = _Reader()
    files = [path] if isinstance(path, str | Path) else list(path)
    for file in [*additional, *files]:
        reader.read(Path(file))
    if not reader.vehicles:
        where = ", ".join(map(str, files))
        raise InputError("vehicles", "none", allowed="at least one vehicle or flow", fix="check the file", where=where)
    return reader.tables()


class _Reader:
    """What has been read so far."""

    def __init__(self) -> None:
        self.vehicles: list[_Vehicle] = []
        self.kinds: dict[str, SumoKind] = {}
        self.groups: dict[str, list[tuple[str, float]]] = {}
        self.routes: dict[str, tuple[tuple[str, ...], tuple[_Stop, ...]]] = {}
        self.bus_stops: dict[str, tuple[str, float, float]] = {}
        self.passed_over: dict[str, int] = {}
        self._group = ""
        self._route = ""
        self._open: Element | None = None
        self._edges: tuple[str, ...] = ()
        self._stops: list[_Stop] = []

    def read(self, path: Path) -> None:
        begin = {
            "vType": self._kind,
            "vTypeDistribution": self._begin_group,
            "route": self._begin_route,
            "busStop": self._bus_stop,
            "stop": self._stop,
            "vehicle": self._begin_vehicle,
            "flow": self._begin_vehicle,
            "trip": self._no_route,
            "person": self._pass_over,
            "personFlow": self._pass_over,
            "container": self._pass_over,
        }
        end = {
            "vehicle": self._end_vehicle,
            "flow": self._end_vehicle,
            "vTypeDistribution": self._end_group,
            "route": self._end_route,
        }
        read_sumo_xml(path, _ROOTS, begin, end)

    def _pass_over(self, element: Element) -> None:
        self.passed_over[element.name] = self.passed_over.get(element.name, 0) + 1

    def _no_route(self, element: Element) -> None:
        element.wrong("route", "missing", "a whole route", "route the trips with SUMO's duarouter first")

    def _kind(self, element: Element) -> None:
        kind = _kind(element)
        self.kinds[kind.name] = kind
        if self._group:
            self.groups[self._group].append((kind.name, element.number("probability", 1.0, least=0.0)))

    def _begin_group(self, element: Element) -> None:
        self._group = element.text("id")
        names = element.words("vTypes")
        shares = [float(p) for p in element.words("probabilities")] or [1.0] * len(names)
        self.groups[self._group] = list(zip(names, shares, strict=False))

    def _end_group(self) -> None:
        self._group = ""

    def _bus_stop(self, element: Element) -> None:
        start_m = element.number("startPos", 0.0)
        self.bus_stops[element.text("id")] = element.text("lane"), start_m, element.number("endPos", 1e9)

    def _begin_route(self, element: Element) -> None:
        if "edges" not in element.attributes:
            self._no_route(element)
        edges = element.words("edges")
        if not edges:
            element.wrong("edges", "''", "at least one edge", "correct the file")
        if self._open is None:
            self._route = element.text("id")
            self.routes[self._route] = edges, ()
        else:
            self._edges = edges

    def _end_route(self) -> None:
        self._route = ""

    def _stop(self, element: Element) -> None:
        name = element.text("busStop", "")
        if name and name not in self.bus_stops:
            raise unknown_name("busStop", name, self.bus_stops, where=element.where)
        lane, from_m, to_m = self.bus_stops[name] if name else (element.text("lane", ""), 0.0, 1e9)
        if not lane:
            element.wrong("lane", "missing", "the name of a lane or a busStop", "say where to stop")
        if not name:
            to_m = element.number("endPos", 1e9)
            from_m = element.number("startPos", to_m - 0.2)
        duration_s = _time(element, "duration", "0")
        stop = _Stop(lane, from_m, to_m, duration_s, _time(element, "until", "-1"))
        if self._open is not None:
            self._stops.append(stop)
        elif self._route:
            edges, stops = self.routes[self._route]
            self.routes[self._route] = edges, (*stops, stop)

    def _begin_vehicle(self, element: Element) -> None:
        self._open, self._edges, self._stops = element, (), []

    def _end_vehicle(self) -> None:
        element, self._open = self._open, None
        if element is None:
            return
        route: tuple[str, ...] | str = self._edges or element.text("route", "")
        if not route:
            self._no_route(element)
        kind = element.text("type", "DEFAULT_VEHTYPE")
        lane, position_m = _code(element, "departLane"), _code(element, "departPos")
        codes = lane, position_m, _code(element, "departSpeed"), _code(element, "arrivalPos")
        name, stops = element.text("id"), tuple(self._stops)
        times = [_time(element, "depart", None)] if element.name == "vehicle" else _flow(element)
        names = [name] if element.name == "vehicle" else [f"{name}.{k}" for k in range(len(times))]
        for each, depart_s in zip(names, times, strict=True):
            self.vehicles.append(_Vehicle(each, depart_s, kind, route, codes, stops, element.where))

    def tables(self) -> SumoRoutes:
        vehicles = sorted(self.vehicles, key=lambda vehicle: vehicle.depart_s)
        groups = list(dict.fromkeys(vehicle.kind for vehicle in vehicles))
        kinds = list(dict.fromkeys(name for group in groups for name, _ in self._members(group)))
        members = [self._members(group) for group in groups]
        routes = [self._whole_route(vehicle) for vehicle in vehicles]
        stops = [stop for _, some in routes for stop in some]
        codes = np.array([vehicle.codes for vehicle in vehicles])
        row = {name: k for k, name in enumerate(kinds)}
        group_row = {name: k for k, name in enumerate(groups)}
        return SumoRoutes(
            name=tuple(vehicle.name for vehicle in vehicles),
            depart_s=np.array([vehicle.depart_s for vehicle in vehicles]),
            route=tuple(edges for edges, _ in routes),
            vehicle_choice=np.array([group_row[vehicle.kind] for vehicle in vehicles], np.int32),
            depart_lane=codes[:, 0].astype(np.int32),
            depart_pos_m=codes[:, 1],
            depart_speed_mps=codes[:, 2],
            arrival_pos_m=codes[:, 3],
            kinds=tuple(self._known_kind(name, vehicles) for name in kinds),
            choice_start=np.cumsum([0] + [len(group) for group in members]).astype(np.int32),
            choice_kind=np.array([row[name] for group in members for name, _ in group], np.int32),
            choice_share=np.concatenate([_shares(group) for group in members]),
            stop_start=np.cumsum([0] + [len(some) for _, some in routes]).astype(np.int32),
            stop_lane=tuple(stop.lane for stop in stops),
            stop_from_m=np.array([stop.from_m for stop in stops]),
            stop_to_m=np.array([stop.to_m for stop in stops]),
            stop_duration_s=np.array([stop.duration_s for stop in stops]),
            stop_until_s=np.array([stop.until_s for stop in stops]),
            notes=tuple(f"{count} elements '{name}'" for name, count in self.passed_over.items()),
        )

    def _members(self, group: str) -> list[tuple[str, float]]:
        return self.groups.get(group) or [(group, 1.0)]

    def _known_kind(self, name: str, vehicles: list[_Vehicle]) -> SumoKind:
        if name == "DEFAULT_VEHTYPE" and name not in self.kinds:
            return _kind(Element("vType", {"id": name}, "", ""))
        if name not in self.kinds:
            where = next((vehicle.where for vehicle in vehicles if vehicle.kind == name), "")
            raise unknown_name("type", name, [*self.kinds, *self.groups], where=where)
        return self.kinds[name]

    def _whole_route(self, vehicle: _Vehicle) -> tuple[tuple[str, ...], tuple[_Stop, ...]]:
        if not isinstance(vehicle.route, str):
            return vehicle.route, vehicle.stops
        if vehicle.route not in self.routes:
            raise unknown_name("route", vehicle.route, self.routes, where=vehicle.where)
        edges, stops = self.routes[vehicle.route]
        return edges, (*stops, *vehicle.stops)


def _shares(group: list[tuple[str, float]]) -> Float64[Array, "members"]:
    share = np.array([share for _, share in group])
    return np.asarray(share / share.sum()) if share.sum() > 0 else np.full(len(share), 1 / len(share))


def _kind(element: Element) -> SumoKind:
    vehicle_class = element.text("vClass", "passenger")
    default = _BY_CLASS.get(vehicle_class, _BY_CLASS["passenger"])
    decel = element.number("decel", default[3], least=0.01, most=100.0)
    factor, deviation, least, most = _speed_factor(element, default[6])
    return SumoKind(
        name=element.text("id"),
        vehicle_class=vehicle_class,
        length_m=element.number("length", default[0], least=0.01, most=1000.0),
        min_gap_m=element.number("minGap", default[1], least=0.0, most=100.0),
        accel_mps2=element.number("accel", default[2], least=0.01, most=100.0),
        decel_mps2=decel,
        emergency_decel_mps2=element.number("emergencyDecel", max(decel, default[4]), least=0.01, most=100.0),
        sigma=element.number("sigma", default[5], least=0.0, most=1.0),
        tau_s=element.number("tau", 1.0, least=0.01, most=100.0),
        max_speed_mps=element.number("maxSpeed", default[7] / 3.6, least=0.01, most=300.0),
        desired_mps=element.number("desiredMaxSpeed", default[8] / 3.6, least=0.01, most=1e6),
        speed_factor=factor,
        speed_deviation=deviation,
        speed_least=least,
        speed_most=most,
        lane_change={name: element.number(name) for name in element.attributes if re.fullmatch("lc[A-Z]\\w*", name)},
    )


def _speed_factor(element: Element, deviation: float) -> tuple[float, float, float, float]:
    """Mean, deviation and bounds; given as a number or as norm(mean,dev) or normc(mean,dev,least,most)."""
    text = element.text("speedFactor", "1")
    found = re.fullmatch(r"normc?\(([^)]*)\)", text.replace(" ", ""))
    try:
        numbers = [float(part) for part in (found.group(1).split(",") if found else [text])]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 4 or not all(0 <= v < 1e3 for v in numbers):
        element.wrong("speedFactor", f"'{text}'", "a number or normc(mean,deviation,least,most)", "correct the file")
    given = element.number("speedDev", deviation, least=0.0, most=10.0)
    full = [numbers[0], numbers[1] if len(numbers) > 1 else given, *numbers[2:]]
    return full[0], full[1], full[2] if len(full) > 2 else 0.2, full[3] if len(full) > 3 else 2.0


def _code(element: Element, field: str) -> float:
    text = element.text(field, _DEFAULTS[field])
    if text in WORDS[field]:
        return -1.0 - WORDS[field].index(text)
    least = -1e6 if field.endswith("Pos") else 0.0
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= 1e6:
        element.wrong(field, f"'{text}'", f"a number or one of {', '.join(WORDS[field])}", "correct the file")
    return value if value >= 0 else value - 100.0


def _time(element: Element, field: str, default: str | None) -> float:
    """Seconds, written as a number or as [days:]hours:minutes:seconds."""
    text = element.text(field, default)
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = clock.groups()
        return 86400.0 * int(days or 0) + 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
    return element.number(field, None if default is None else float(default))


def _flow(element: Element) -> list[float]:
    """Departures of a flow, evenly spaced."""
    begin_s, end_s = _time(element, "begin", "0"), _time(element, "end", "86400")
    given = [name for name in ("period", "vehsPerHour", "number") if name in element.attributes]
    if not given or "probability" in element.attributes:
        element.wrong("departures", "random or missing", "period, vehsPerHour or number", "give one of them")
    number = element.whole("number", _LONGEST_FLOW, least=0)
    if "period" in given:
        period_s = element.number("period", least=1e-3)
    elif "vehsPerHour" in given:
        period_s = 3600.0 / element.number("vehsPerHour", least=1e-6)
    else:
        period_s = (end_s - begin_s) / max(number, 1)
    if "end" in element.attributes or "number" not in given:
        number = min(number, int(np.ceil(max(end_s - begin_s, 0.0) / period_s - 1e-9)))
    if number > _LONGEST_FLOW:
        element.wrong("vehicles", number, f"up to {_LONGEST_FLOW}", "make the flow shorter")
    return [begin_s + k * period_s for k in range(number)]
