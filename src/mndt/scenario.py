"""One scenario: a city, its people, its radio, its network, and how long to run them.

A scenario is a TOML file, checked once, here. A message about it names the file, the key, the
value, what is allowed and the fix. The tables are the parameter dataclasses of the rooms.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mndt.errors import InputError, unknown_name
from mndt.network.energy_parameters import EnergyParameters, check_energy
from mndt.network.handover_parameters import HandoverParameters, check_handover
from mndt.network.incident_parameters import TIME, Incident, check_incident
from mndt.network.parameters import NetworkParameters, check_network
from mndt.radio.parameters import RadioParameters
from mndt.scenario_fields import Key, dump_table, is_table, keys_of, plain, table_in, table_of_items
from mndt.users.demand import SHIPPED, DemandParameters, check_demand
from mndt.users.mobility_parameters import MobilityParameters
from mndt.users.population import UserParameters

if TYPE_CHECKING:
    from mndt.city.model import City

SCHEMA_VERSION: Final = 1
"""Version of the scenario file; other versions are refused with the remedy."""

PRESETS: Final = ("helsinki", "table1")
"""Scenarios that come with the package."""


_PATHS: Final = (
    ("city", "file"),
    ("city", "sites"),
    ("users", "schedule"),
    ("mobility", "file"),
    ("mobility", "net"),
    ("demand", "fitted"),
)
"""Keys that hold paths, relative to the scenario's file."""


@dataclass(frozen=True)
class CitySource:
    """Where the city comes from."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    source: Literal["helsinki", "synthetic", "osm", "file"] = "helsinki"  # osm and file need the key file
    file: str | None = None  # OpenStreetMap extract (.osm.pbf) or saved city (.npz), relative to this file
    bbox: tuple[float, float, float, float] | None = None  # osm: the box to read; all of the extract when left out
    sites: str | None = None  # osm and file: cell inventory (CSV), relative to this file; without one, osm places sites
    seed: Annotated[int, Ge(0)] = 0  # draws what is placed, not mapped: sites, shadowing, the synthetic city
    lanes: Annotated[int, Ge(8), Le(100_000)] = 1850  # synthetic: lanes of all roads and directions
    areas: Annotated[int, Ge(1), Le(100_000)] = 1417  # synthetic: areas of interest
    outdoor_sites: Annotated[int, Ge(0), Le(10_000)] = 39  # synthetic: stations on streets and roofs
    indoor_sites: Annotated[int, Ge(0), Le(10_000)] = 145  # synthetic: stations inside buildings
    size_m: Annotated[float, Ge(200.0), Le(20_000.0)] = 2000.0  # synthetic: side of the square


@dataclass(frozen=True)
class RunParameters:
    """When, how long, and who decides."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    start: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "08:00"  # HH:MM of a weekday
    minutes: Annotated[float, Gt(0.0), Le(10_080.0)] = 10.0  # simulated time, in steps of one second
    seed: Annotated[int, Ge(0)] = 0  # draws movement, demand and fading
    policy: str = "fundamentals"  # who configures the network, see `mndt run --help`

    @property
    def start_s(self) -> int:
        """Seconds since midnight."""
        hours, minutes = self.start.split(":")
        return int(hours) * 3600 + int(minutes) * 60

    @property
    def steps(self) -> int:
        """Number of one-second steps, at least one."""
        return max(1, round(self.minutes * 60))

    @property
    def days(self) -> int:
        """Days a run touches, from midnight to midnight."""
        return -(-(self.start_s + self.steps) // 86_400)


class Scenario(BaseModel):
    """A complete, checked scenario.

    >>> Scenario(name="centre", run=RunParameters(minutes=2)).run.steps
    120
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION  # version of the layout of this file
    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,60}$")] = "helsinki"  # names run folders
    city: CitySource = Field(default_factory=CitySource)
    users: UserParameters = Field(default_factory=UserParameters)
    mobility: MobilityParameters = Field(default_factory=MobilityParameters)
    demand: DemandParameters = Field(default_factory=DemandParameters)
    radio: RadioParameters = Field(default_factory=RadioParameters)
    network: NetworkParameters = Field(default_factory=NetworkParameters)
    handover: HandoverParameters = Field(default_factory=HandoverParameters)
    energy: EnergyParameters = Field(default_factory=EnergyParameters)
    run: RunParameters = Field(default_factory=RunParameters)
    incidents: tuple[Incident, ...] = ()  # things that happen at set times


def load(path_or_preset: str | Path) -> Scenario:
    """Read and check a scenario.

    Args:
        path_or_preset: a TOML file, a folder that holds ``scenario.toml``, or a name of `PRESETS`.
            Paths inside the file are relative to it and become absolute.

    Raises:
        InputError: the first thing that does not fit, in one sentence.

    >>> load("helsinki").run.start
    '08:00'
    """
    text = str(path_or_preset)
    if text in PRESETS:
        content = resources.files("mndt.presets").joinpath(f"{text}.toml").read_text(encoding="utf-8")
        return parse(content, where=f"preset {text}")
    path = Path(path_or_preset)
    if path.is_dir():
        path = path / "scenario.toml"
    if not path.exists():
        if path.suffix == ".toml" or path.parent != Path():
            raise InputError("scenario", path, allowed="an existing TOML file", fix="check the path")
        raise unknown_name("scenario", text, [*PRESETS, "FILE.toml"])
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(
            "text", "not UTF-8", allowed="a TOML file in UTF-8", fix="save it so", where=str(path)
        ) from None
    except OSError as error:
        raise InputError("scenario", f"{path} ({error.strerror})", allowed="a readable file", fix="check it") from None
    return parse(content, where=str(path), folder=path.parent)


def parse(content: str, *, where: str = "scenario", folder: Path | None = None) -> Scenario:
    """Check the text of a scenario; paths in it become absolute, relative to `folder`.

    Raises:
        InputError: as `load`.
    """
    try:
        raw = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        reason, line = _syntax_error(str(error))
        raise InputError(
            "syntax",
            reason,
            allowed="TOML, that is key = value under a [table]",
            fix="correct that place",
            where=where + line,
        ) from None
    for table, key in _PATHS:
        entry = raw.get(table)
        if folder is not None and isinstance(entry, dict) and isinstance(entry.get(key), str) and entry[key] != SHIPPED:
            entry[key] = str((folder / entry[key]).resolve())
    return check(raw, where=where)


def check(raw: dict[str, Any], *, where: str = "scenario") -> Scenario:
    """Check nested dicts, as TOML gives them, and make the scenario of them.

    Raises:
        InputError: the first thing that does not fit.
    """
    for path, value in _leaves(raw):
        field, spot = _spot(path.split("."), where)
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(field, value, allowed=_allowed(path), fix="give a finite number", where=spot)
        if isinstance(value, bool) and not _takes_bool(path):
            raise InputError(field, str(value).lower(), allowed=_allowed(path), fix="change it", where=spot)
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        raise _sentence(error, where) from None
    _check_city(scenario.city, where)
    _check_mobility(scenario.mobility, where)
    schedule = scenario.users.schedule
    if schedule is not None and not (Path(schedule).is_file() and Path(schedule).suffix in (".json", ".npz")):
        allowed, fix = "an existing .json of mndt fit schedule or .npz of mndt train schedule", "check the path"
        raise InputError("users.schedule", schedule, allowed=allowed, fix=fix, where=where)
    check_demand(scenario.demand, where=where)
    check_network(scenario.network, where=where)
    check_handover(scenario.handover, where=where)
    check_energy(scenario.energy, where=where)
    for number, incident in enumerate(scenario.incidents):
        check_incident(incident, where=_spot(["incidents", str(number)], where)[1])
    return scenario


def set_value(scenario: Scenario, assignment: str) -> Scenario:
    """A scenario with one key changed, from a text like ``radio.cell_m=5``.

    Args:
        scenario: what to start from.
        assignment: dotted key, ``=``, and a value in TOML; a text needs no quotes. The second
            ``[[incidents]]`` block is ``incidents.2``.

    Raises:
        InputError: no such key, or the value does not fit.

    >>> set_value(load("helsinki"), "run.minutes=3").run.minutes
    3.0
    """
    where = f"--set {assignment}"
    path, equals, text = assignment.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise InputError("--set", assignment, allowed="key=value, e.g. run.minutes=3", fix="write it so")
    try:
        value: Any = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    raw = to_dict(scenario)
    table: Any = raw
    for name in names[:-1]:
        table = _step(table, name, where)
    if not isinstance(table, dict):
        raise InputError("--set", assignment, allowed="a key of a table", fix="see mndt scenario new")
    table[names[-1]] = value
    return check(raw, where=where)


def _step(table: Any, name: str, where: str) -> Any:
    """One name further down the nested dicts; blocks of a list are counted from 1."""
    if not isinstance(table, list):
        return table.setdefault(name, {}) if isinstance(table, dict) else None
    if not name.isdecimal() or not 1 <= int(name) <= len(table):
        raise InputError(
            "block", name, allowed=f"a number from 1 to {len(table)}", fix="count the blocks from the top", where=where
        )
    return table[int(name) - 1]


def to_dict(scenario: Scenario) -> dict[str, Any]:
    """The scenario as nested plain dicts; keys that are left out (None), and lists without a block, are missing."""
    raw = {name: plain(getattr(scenario, name)) for name in type(scenario).model_fields}
    return {name: value for name, value in raw.items() if value != []}


def dump(scenario: Scenario) -> str:
    """The scenario as TOML, every key with its meaning and range: `load` gives it back unchanged."""
    lines = ["# A scenario of mndt. Every key may be left out: it then has the value it has in `mndt scenario new`."]
    lines += dump_table(scenario, (), _allowed)
    return "\n".join(lines) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the scenario file, for editors and other programs."""
    return Scenario.model_json_schema()


def open_city(source: CitySource, name: str = "city") -> City:
    """Read or make the city a scenario names.

    Raises:
        InputError: the map or the inventory does not fit.
    """
    sites = Path(source.sites) if source.sites else None
    if source.source == "helsinki":
        from mndt.city.osm import helsinki

        return helsinki(seed=source.seed)
    if source.source == "synthetic":
        from mndt.city.synthetic import synthetic_city

        return synthetic_city(
            seed=source.seed,
            lanes=source.lanes,
            areas=source.areas,
            outdoor_sites=source.outdoor_sites,
            indoor_sites=source.indoor_sites,
            size_m=source.size_m,
        )
    assert source.file is not None  # `check` saw to it
    if source.source == "osm":
        from mndt.city.osm import read_osm

        return read_osm(Path(source.file), source.bbox, sites_csv=sites, seed=source.seed, name=name)
    from mndt.city.store import load_city

    city = load_city(Path(source.file))
    from mndt.city.mending import mend

    if sites is None:
        return mend(city)
    from dataclasses import replace

    from mndt.city.antennas import antennas_of
    from mndt.city.sites import attribution, read_cells

    built_sites, cells = read_cells(sites, city.frame, city.buildings)
    notice = city.attribution
    if attribution(sites) not in notice:
        notice = f"{notice}; {attribution(sites)}"
    antennas = antennas_of(cells, sites)
    return mend(replace(city, sites=built_sites, cells=cells, attribution=notice, antennas=antennas))


# What does not fit -----------------------------------------------------------------------------


def _check_city(city: CitySource, where: str) -> None:
    needs_file = city.source in ("osm", "file")
    if needs_file and city.file is None:
        raise InputError(
            "city.file", "missing", allowed=f"the path of the {city.source} file", fix="add it", where=where
        )
    for key in ("file", "sites"):
        path = getattr(city, key)
        if path is not None and not needs_file:
            raise InputError(
                f"city.{key}",
                path,
                allowed='a path where city.source is "osm" or "file"',
                fix="set city.source",
                where=where,
            )
        if path is not None and not Path(path).is_file():
            raise InputError(f"city.{key}", path, allowed="an existing file", fix="check the path", where=where)
    if city.bbox is not None and city.source != "osm":
        raise InputError(
            "city.bbox", list(city.bbox), allowed='a box where city.source is "osm"', fix="remove it", where=where
        )


def _check_mobility(mobility: MobilityParameters, where: str) -> None:
    needs_file = mobility.source != "own"
    if needs_file and mobility.file is None:
        allowed = "the path of a recording" if mobility.source == "tracks" else "the path of a .sumocfg"
        raise InputError("mobility.file", "missing", allowed=allowed, fix="add it", where=where)
    for key in ("file", "net"):
        path = getattr(mobility, key)
        if path is not None and not needs_file:
            allowed = 'a path where mobility.source is "tracks" or "sumo"'
            raise InputError(f"mobility.{key}", path, allowed=allowed, fix="set mobility.source", where=where)
        if path is not None and not Path(path).is_file():
            raise InputError(f"mobility.{key}", path, allowed="an existing file", fix="check the path", where=where)


def _spot(names: list[str], where: str) -> tuple[str, str]:
    """The key as a message names it, and where it is: in which block, if it is in one of several.

    >>> _spot(["incidents", "1", "at"], "city.toml")
    ('at', 'city.toml [[incidents]] 2')
    """
    for depth, name in enumerate(names):
        if name.isdecimal() and depth and _items(names[:depth]):
            return ".".join(names[depth + 1 :]) or "the block", f"{where} [[{'.'.join(names[:depth])}]] {int(name) + 1}"
    return ".".join(names), where


def _sentence(error: ValidationError, where: str) -> InputError:
    """The first of pydantic's complaints as one sentence."""
    first = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"]]
    path, (field, spot) = ".".join(names), _spot(names, where)
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown_key(names, where)
    if first["type"] == "missing":
        return InputError(field, "missing", allowed=_allowed(path), fix="add it", where=spot)
    key = _key(names)
    value = first["input"]
    if path == "schema_version":
        return InputError(path, value, allowed="1", fix="use the version of mndt that wrote this file", where=where)
    if key is not None and key.choices and isinstance(value, str):
        return unknown_name(field, value, key.choices, where=spot)
    if isinstance(value, dict) and _items(names):
        return InputError(path, "one table", allowed=_allowed(path), fix=f"write its header [[{path}]]", where=where)
    allowed = "a table" if field == "the block" else _allowed(path) if key is not None else first["msg"]
    shown = f"'{value}'" if isinstance(value, str) else "a table" if isinstance(value, dict) else value
    return InputError(field, shown, allowed=allowed, fix="change it" if value is not None else "add it", where=spot)


def _unknown_key(names: list[str], where: str) -> InputError:
    table, spot = _table(names[:-1]), _spot(names, where)[1]
    known = keys_of(table)
    inside = ".".join(name for name in names[:-1] if not name.isdecimal())
    place = f"key in [[{inside}]]" if spot != where else f"key in [{inside}]" if inside else "table"
    homes = [
        name
        for name, key in keys_of(Scenario).items()
        if is_table(key.annotation) and names[-1] in keys_of(key.annotation)
    ]
    if names[-1] not in known and homes:
        return InputError(place, f"'{names[-1]}'", allowed=", ".join(known), fix=f"move it to [{homes[0]}]", where=spot)
    return unknown_name(place, names[-1], known, where=spot)


def _table(names: list[str]) -> type:
    """The table a path of names leads to, or to a key of; numbers of blocks are passed over."""
    table: type = Scenario
    for name in names:
        if name.isdecimal():
            continue
        key = keys_of(table).get(name)
        inner = None if key is None else table_in(key.annotation)
        if inner is None:
            break
        table = inner
    return table


def _key(names: list[str]) -> Key | None:
    """The key a path of names leads to; names beyond it (positions in a list) are ignored."""
    table: type = Scenario
    key = None
    for name in names:
        if name.isdecimal():
            continue
        key = keys_of(table).get(name)
        inner = None if key is None else table_in(key.annotation)
        if inner is None:
            return key
        table = inner
    return key


def _items(names: list[str]) -> type | None:
    """The table of which the key at this path holds any number; None for other keys."""
    key = _key(names)
    return None if key is None else table_of_items(key.annotation)


def _allowed(path: str) -> str:
    special = {
        "run.start": "a time HH:MM from 00:00 to 23:59",
        "incidents.at": TIME,
        "name": "1 to 60 letters, digits, dots, dashes and underscores",
        "city.bbox": "[west, south, east, north] in degrees",
    }
    names = path.split(".")
    key = _key(names)
    if key is None:
        return "a known key"
    plain = ".".join(name for name in names if not name.isdecimal())
    return next((text for start, text in special.items() if plain == start), key.allowed)


def _takes_bool(path: str) -> bool:
    return "true or false" in _allowed(path) or _key(path.split(".")) is None


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _leaves(value, f"{path}.{number}" if isinstance(value, dict) else path)
    else:
        yield path, node


def _syntax_error(message: str) -> tuple[str, str]:
    """The reason and `` line N`` out of tomllib's message."""
    found = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$", message)
    reason = message[: found.start()] if found else message
    line = f" line {found[1]}" if found and found[1] else ""
    return f"broken ({reason[:1].lower()}{reason[1:]})", line
