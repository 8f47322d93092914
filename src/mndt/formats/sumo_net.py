"""Road networks of SUMO (``.net.xml``): edges, lanes, connections, junctions and traffic lights.

The file is what SUMO's netconvert and netgenerate write: the network as built, with lanes inside the
junctions and the table of who yields to whom
(https://sumo.dlr.de/docs/Networks/SUMO_Road_Networks.html). Footpaths over junctions (walking areas and
crossings) are passed over. Angles, heights, roundabouts and rail signals play no part here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mndt.errors import InputError
from mndt.formats._sumo_xml import Element, read_sumo_xml

CLASS_BITS: Final = {
    "passenger": 1,
    "bicycle": 2,
    "bus": 4,
    "ignoring": 8,
    "taxi": 16,
    "delivery": 32,
    "truck": 64,
    "motorcycle": 128,
    "tram": 256,
    "pedestrian": 512,
    "emergency": 1024,
    "coach": 2048,
    "hov": 4096,
    "evehicle": 8192,
    "authority": 16384,
    "trailer": 32768,
}
"""Bits of the classes of vehicles that a lane is open to."""

EVERYONE: Final = 0xFFFF
LANE_WIDTH_M: Final = 3.2  # where the file gives none
VISIBILITY_M: Final = 4.5  # from where drivers on a minor road see the others
VISIBILITY_ZIPPER_M: Final = 100.0


class SumoLane(NamedTuple):
    """One lane; shape points are (x, y) in metres of the file's frame."""

    name: str
    speed_mps: float
    length_m: float
    width_m: float
    classes: int  # bits of CLASS_BITS
    shape: tuple[tuple[float, float], ...]


class SumoEdge(NamedTuple):
    """One edge; its lanes stand from right to left."""

    name: str
    internal: bool  # inside a junction
    start: str  # junctions; the same one for internal edges
    end: str
    priority: int
    lanes: tuple[SumoLane, ...]


class SumoConnection(NamedTuple):
    """From one lane to another, over the internal lane `via` where there is one."""

    start: tuple[str, int]  # edge and lane
    end: tuple[str, int]
    via: str  # name of a lane, "" = none
    signal: str  # name of a traffic light, "" = none
    signal_index: int
    direction: str  # s, l, r, t, L, R
    state: str  # M, m, =, s, w, Z, and so on
    keep_clear: bool
    visibility_m: float


class SumoRequest(NamedTuple):
    """Right of way of one link of a junction: bit k of `response` stands for link k."""

    response: int
    foes: int
    cont: bool  # may wait inside the junction


class SumoJunction(NamedTuple):
    """A junction; those of kind "internal" are waiting places inside another one."""

    name: str
    kind: str
    x_m: float
    y_m: float
    incoming: tuple[str, ...]  # lanes
    internal: tuple[str, ...]  # lanes; in one of kind "internal", the lanes its first incoming lane yields to
    requests: tuple[SumoRequest, ...]


class SumoSignal(NamedTuple):
    """A light programme: phases of so many seconds, one letter for each of its links."""

    name: str
    programme: str
    kind: str
    offset_s: float
    phases: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class SumoNet:
    """A network as read."""

    edges: tuple[SumoEdge, ...]
    connections: tuple[SumoConnection, ...]
    junctions: tuple[SumoJunction, ...]
    signals: dict[str, SumoSignal]  # by name; where a light has several programmes, the one read last
    projection: str = "!"  # as in the file: a PROJ text, or "!" for none
    offset_m: tuple[float, float] = (0.0, 0.0)  # was added to projected coordinates
    notes: tuple[str, ...] = field(default=())  # what was passed over, in words


def read_net(path: str | Path, additional: Iterable[str | Path] = ()) -> SumoNet:
    """Read a network, and light programmes from additional files.

    Args:
        path: ``.net.xml`` or ``.net.xml.gz``.
        additional: files with further ``tlLogic`` programmes; as in SUMO, the last one read runs.

    Raises:
        InputError: unreadable or damaged files, values out of range, names that nothing has; with file and line.

    The lanes of Bologna::

        net = read_net("joined_buslanes.net.xml.gz", ["joined_tls.add.xml"])
        print(sum(len(edge.lanes) for edge in net.edges))
    """
    reader = _Net()
    reader.read(Path(path), ("net",))
    if not reader.edges:
        raise InputError("edges", "none", allowed="at least one edge", fix="give a SUMO network", where=str(path))
    for extra in additional:
        reader.read(Path(extra), ("additional", "add", "tlLogics"))
    net = SumoNet(
        tuple(reader.edges),
        tuple(reader.connections),
        tuple(reader.junctions),
        reader.signals,
        reader.projection,
        reader.offset_m,
        tuple(f"{count} {what}" for what, count in reader.passed_over.items()),
    )
    _check_names(net, str(path))
    return net


class _Net:
    """What has been read so far."""

    def __init__(self) -> None:
        self.edges: list[SumoEdge] = []
        self.connections: list[SumoConnection] = []
        self.junctions: list[SumoJunction] = []
        self.signals: dict[str, SumoSignal] = {}
        self.projection, self.offset_m = "!", (0.0, 0.0)
        self.passed_over: dict[str, int] = {}
        self._left_out: set[str] = set()
        self._edge: SumoEdge | None = None
        self._lanes: list[SumoLane] = []  # in the order of the file, whatever their index says, as SUMO takes them
        self._junction: SumoJunction | None = None
        self._requests: list[SumoRequest] = []
        self._signal: SumoSignal | None = None
        self._phases: list[tuple[float, str]] = []

    def read(self, path: Path, roots: tuple[str, ...]) -> None:
        begin = {
            "location": self._location,
            "edge": self._begin_edge,
            "lane": self._lane,
            "connection": self._connection,
            "junction": self._begin_junction,
            "request": self._request,
            "tlLogic": self._begin_signal,
            "phase": self._phase,
        }
        end = {"edge": self._end_edge, "junction": self._end_junction, "tlLogic": self._end_signal}
        read_sumo_xml(path, roots, begin, end)

    def _pass_over(self, what: str) -> None:
        self.passed_over[what] = self.passed_over.get(what, 0) + 1

    def _location(self, element: Element) -> None:
        self.projection = element.text("projParameter", "!")
        shift = element.shape("netOffset")
        self.offset_m = shift[0] if shift else (0.0, 0.0)

    def _begin_edge(self, element: Element) -> None:
        name, kind = element.text("id"), element.text("function", "normal")
        if kind in ("crossing", "walkingarea"):
            self._left_out.add(name)
            self._pass_over("footpaths over junctions")
            return
        internal = kind == "internal"
        inside = name[1 : name.rfind("_")]
        start = inside if internal else element.text("from")
        end = inside if internal else element.text("to")
        self._edge = SumoEdge(name, internal, start, end, element.whole("priority", -1, least=-1000), ())
        self._lanes = []

    def _lane(self, element: Element) -> None:
        if self._edge is None:
            return
        shape = element.shape()
        if len(shape) < 2:
            element.wrong("shape", "one point", "two points or more", "correct the file")
        lane = SumoLane(
            element.text("id"),
            element.number("speed", least=0.01, most=200.0),
            element.number("length", least=0.01, most=1e6),
            element.number("width", LANE_WIDTH_M, most=100.0),
            _classes(element),
            shape,
        )
        lane = lane if lane.width_m > 0 else lane._replace(width_m=LANE_WIDTH_M)
        self._lanes.append(lane)

    def _end_edge(self) -> None:
        if self._edge is not None:
            if not self._lanes:
                where = f"edge '{self._edge.name}'"
                raise InputError("lanes", "none", allowed="at least one lane", fix="correct the file", where=where)
            self.edges.append(self._edge._replace(lanes=tuple(self._lanes)))
            self._edge = None

    def _connection(self, element: Element) -> None:
        start, end = element.text("from"), element.text("to")
        if start in self._left_out or end in self._left_out:
            return
        state = element.text("state", "M")
        sight_m = VISIBILITY_ZIPPER_M if state == "Z" else VISIBILITY_M
        signal = element.text("tl", "")
        connection = SumoConnection(
            (start, element.whole("fromLane", least=0)),
            (end, element.whole("toLane", least=0)),
            element.text("via", ""),
            signal,
            element.whole("linkIndex", least=0) if signal else -1,
            element.text("dir", "s"),
            state,
            element.flag("keepClear", True),
            element.number("visibility", sight_m, least=0.0),
        )
        self.connections.append(connection)

    def _begin_junction(self, element: Element) -> None:
        x_m, y_m = element.number("x"), element.number("y")
        kind, name = element.text("type"), element.text("id")
        self._junction = SumoJunction(name, kind, x_m, y_m, element.words("incLanes"), element.words("intLanes"), ())
        self._requests = []

    def _request(self, element: Element) -> None:
        bits = []
        for field_name in ("response", "foes"):
            text = element.text(field_name)
            if set(text) - {"0", "1"} or not text:
                element.wrong(field_name, f"'{text}'", "a row of 0 and 1", "correct the file")
            bits.append(int(text, 2))
        if element.whole("index", least=0) != len(self._requests):
            element.wrong("index", element.text("index"), f"{len(self._requests)} here", "put requests in order")
        self._requests.append(SumoRequest(bits[0], bits[1], element.flag("cont", False)))

    def _end_junction(self) -> None:
        if self._junction is not None:
            self.junctions.append(self._junction._replace(requests=tuple(self._requests)))
            self._junction = None

    def _begin_signal(self, element: Element) -> None:
        kind = element.text("type", "static")
        if kind != "static":
            self._pass_over(f"lights of type '{kind}', which run their phases with the given durations")
        name, programme = element.text("id"), element.text("programID", "0")
        self._signal = SumoSignal(name, programme, kind, element.number("offset", 0.0), ())
        self._phases = []

    def _phase(self, element: Element) -> None:
        if self._signal is None:
            return
        state = element.text("state")
        if self._phases and len(state) != len(self._phases[0][1]):
            element.wrong("state", f"'{state}'", f"{len(self._phases[0][1])} letters here", "correct the file")
        self._phases.append((element.number("duration", least=0.0, most=1e5), state))

    def _end_signal(self) -> None:
        signal, self._signal = self._signal, None
        if signal is None:
            return
        if not self._phases and signal.programme != "off":  # only another offset for a programme that is there
            known = self.signals.get(signal.name)
            self._phases = list(known.phases) if known else []
        if sum(duration for duration, _ in self._phases) <= 0:
            where = f"tlLogic '{signal.name}'"
            raise InputError("cycle", "0 s", allowed="phases longer than 0 s", fix="correct the file", where=where)
        self.signals[signal.name] = signal._replace(phases=tuple(self._phases))


def _classes(element: Element) -> int:
    """Classes that may use a lane: those allowed, or all but those disallowed."""
    names = element.words("allow")
    if names and "all" not in names:
        return sum({CLASS_BITS.get(name, 0) for name in names}) | CLASS_BITS["ignoring"]
    closed = element.words("disallow")
    if "all" in closed:
        return CLASS_BITS["ignoring"]
    return EVERYONE & ~sum({CLASS_BITS.get(name, 0) for name in closed})


def _check_names(net: SumoNet, where: str) -> None:
    """Connections must name lanes, and lights, that are there."""
    lanes = {edge.name: len(edge.lanes) for edge in net.edges}
    names = {lane.name for edge in net.edges for lane in edge.lanes}
    for link in net.connections:
        for name, lane in (link.start, link.end):
            if lane >= lanes.get(name, 0):
                allowed = f"a lane of {len(names)} lanes in the file"
                raise InputError("connection", f"'{name}' lane {lane}", allowed=allowed, fix="correct it", where=where)
        if link.via and link.via not in names:
            allowed = "an internal lane of the file"
            raise InputError("via", f"'{link.via}'", allowed=allowed, fix="build the net again", where=where)
        if link.signal:
            signal = net.signals.get(link.signal)
            links = len(signal.phases[0][1]) if signal else 0
            if link.signal_index >= links:
                allowed = f"a light of the file with more than {link.signal_index} letters"
                raise InputError("tl", f"'{link.signal}'", allowed=allowed, fix="add its tlLogic", where=where)
