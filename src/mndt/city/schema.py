"""The ONE table of engineering parameters and of services.

Loaders, validation messages, defaults, the sample inventory and the documentation are made from
these rows. A field that is not here does not exist.
"""
# ruff: noqa: E501 (a table is easier to read with one line for each row)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Conversion:
    """A column in another unit that gives a field its value."""

    column: str
    unit: str
    rule: str  # for the docs
    convert: Callable[[float, Mapping[str, Any]], float]  # value and the row's other fields -> the field's unit
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """One column of a cell inventory."""

    name: str
    unit: str  # as in the file; "" for names and counts
    kind: type  # str, float, int or bool
    default: object | None  # None with required=False: derived, see meaning
    low: float | None
    high: float | None
    meaning: str
    required: bool = False
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    files: tuple[str, ...] = ()  # besides the choices: the name of a file that ends like this

    @property
    def allowed(self) -> str:
        """The allowed range as a phrase for messages and docs."""
        if self.choices:
            more = f" or a file ({', '.join(self.files)})" if self.files else ""
            return ", ".join(self.choices) + more
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{' ' + self.unit if self.unit else ''}"
        return {str: "any text", bool: "true or false"}.get(self.kind, "any number")


PATTERNS: Final = ("omni", "sector", "panel")
PATTERN_FILES: Final = (".msi", ".pln", ".prn")
ENERGY_CLASSES: Final = ("macro", "rrh", "micro", "pico")

OCCUPIED_SHARE: Final = 0.9
"""Share of the channel bandwidth that resource blocks fill: LTE of 3 to 20 MHz, TS 36.104 Table 5.6-1."""


def _dbm_of_watts(value_w: float, _: Mapping[str, Any]) -> float:
    from mndt.units import w_to_dbm

    return round(float(w_to_dbm(max(value_w, 0.0))), 9)


def _blocks_of_mhz(value_mhz: float, row: Mapping[str, Any]) -> float:
    return float(int(OCCUPIED_SHARE * value_mhz * 1e3 / row["block_khz"] + 1e-6))


_WATTS = Conversion("power_w", "W", "10 lg(1000 x power_w)", _dbm_of_watts, ("max_power_w", "tx_power_w"))
_MILLIWATTS = Conversion(
    "power_mw", "mW", "10 lg(power_mw)", lambda value, row: _dbm_of_watts(value / 1e3, row), ("max_power_mw",)
)
_MEGAHERTZ = Conversion(
    "frequency_mhz", "MHz", "frequency_mhz / 1000", lambda value, _: value / 1e3,
    ("freq_mhz", "carrier_mhz", "dl_frequency_mhz"),
)  # fmt: skip
_HERTZ = Conversion("carrier_hz", "Hz", "carrier_hz / 1e9", lambda value, _: value / 1e9, ("frequency_hz",))
_BANDWIDTH = Conversion(
    "bandwidth_mhz", "MHz", "0.9 x bandwidth_mhz x 1000 / block_khz, rounded down (20 MHz: 100 blocks of 180 kHz)",
    _blocks_of_mhz, ("bandwidth", "bw_mhz", "channel_bandwidth_mhz"),
)  # fmt: skip

CELL_FIELDS: Final[tuple[Field, ...]] = (
    Field("cell", "", str, None, None, None, "unique name of the cell", True, ("cell_id", "cellid", "cell_name", "name", "id", "ci", "ecgi", "nci")),
    Field("latitude_deg", "deg", float, None, -80, 84, "WGS 84 latitude", True, ("latitude", "lat")),
    Field("longitude_deg", "deg", float, None, -180, 180, "WGS 84 longitude", True, ("longitude", "lon", "lng", "long")),
    Field("site", "", str, None, None, None, "name of the site; cells within 1 m share one when it is left out", False, ("site_id", "site_name", "enodeb", "gnodeb", "enb", "gnb", "station")),
    Field("azimuth_deg", "deg", float, 0.0, 0, 360, "compass bearing of boresight, clockwise from north", False, ("azimuth", "bearing", "direction", "heading", "azi")),
    Field("height_m", "m", float, None, 0.5, 500, "antenna above ground; when left out 3 m indoors and 25 m outdoors, or 3 m above the roof it stands on if that is higher", False, ("height", "antenna_height", "antenna_height_m", "hba", "agl", "agl_m")),
    Field("power_dbm", "dBm", float, None, -30, 60, "maximum transmit power of the cell; 24 dBm indoors and 30 dBm outdoors when left out", False, ("power", "max_power_dbm", "tx_power", "tx_power_dbm", "pmax", "configuredmaxtxpower"), (), (_WATTS, _MILLIWATTS)),
    Field("mechanical_tilt_deg", "deg", float, 0.0, -30, 30, "downwards positive", False, ("mechanical_tilt", "mtilt", "m_tilt", "mech_tilt")),
    Field("electrical_tilt_deg", "deg", float, 6.0, -15, 20, "downwards positive, of panels and antenna files; with a file that file's tilt when left out", False, ("electrical_tilt", "etilt", "e_tilt", "elec_tilt", "tilt", "downtilt")),
    Field("pattern", "", str, None, None, None, "antenna, or the file of one beside the inventory; omni indoors and sector outdoors when left out", False, ("antenna", "antenna_pattern"), PATTERNS, (), PATTERN_FILES),
    Field("carrier_ghz", "GHz", float, 3.5, 0.4, 100, "carrier frequency", False, ("carrier", "frequency_ghz", "freq_ghz", "frequency"), (), (_MEGAHERTZ, _HERTZ)),
    Field("blocks", "", int, 45, 1, 1000, "resource blocks (the paper's channels)", False, ("channels", "n_rb", "prb", "prbs", "resource_blocks"), (), (_BANDWIDTH,)),
    Field("block_khz", "kHz", float, 180.0, 15, 10_000, "bandwidth of one block", False, ("block_bandwidth_khz", "rb_khz")),
    Field("indoor", "", bool, False, None, None, "serves the inside of the building it stands in", False, ("is_indoor", "inside")),
    Field("energy_class", "", str, None, None, None, "row of the EARTH power model; when left out pico indoors, and outdoors micro up to 38 dBm, rrh above", False, (), ENERGY_CLASSES),
)  # fmt: skip


@dataclass(frozen=True)
class Service:
    """One kind of traffic. Rates are averages while a session lasts."""

    name: str
    rate_bps: float  # mean downlink rate while active
    min_rate_bps: float  # below this an active user is in outage
    delay_s: float  # packet delay budget
    share: float  # of sessions started
    session_s: float  # mean session length
    source: str


SERVICES: Final[tuple[Service, ...]] = (
    Service("voice", 25e3, 24.4e3, 0.10, 0.08, 100, "EVS 24.4 kbit/s; 5QI 1 of TS 23.501: 100 ms"),
    Service("video-call", 1.0e6, 5e5, 0.15, 0.05, 300, "5QI 2: 150 ms"),
    Service("video", 2.5e6, 7e5, 0.30, 0.27, 240, "720p stream; 5QI 6: 300 ms"),
    Service("web", 6e5, 1.5e5, 0.30, 0.30, 60, "5QI 8: 300 ms"),
    Service("social", 9e5, 2e5, 0.30, 0.22, 120, "feeds with short clips; 5QI 9: 300 ms"),
    Service("game", 2e5, 1e5, 0.05, 0.05, 600, "5QI 3: 50 ms"),
    Service("download", 5e6, 5e5, 0.30, 0.03, 40, "5QI 9: 300 ms"),
)


def inventory_table() -> str:
    """The columns of an inventory as a Markdown table: the one in docs/inventory.md.

    >>> inventory_table().splitlines()[2]
    '| `cell` | required |  | any text | unique name of the cell | `cell_id`, `cellid`, `cell_name`, `name`, `id`, `ci`, `ecgi`, `nci` |'
    """
    lines = ["| column | default | unit | allowed | meaning | other names |", "|---|---|---|---|---|---|"]
    for field in CELL_FIELDS:
        default = "required" if field.required else "see meaning" if field.default is None else _written(field.default)
        names = ", ".join(f"`{name}`" for name in field.aliases) or "-"
        cells = (f"`{field.name}`", default, field.unit, field.allowed, field.meaning, names)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conversion_table() -> str:
    """Columns in other units as a Markdown table: the second one in docs/inventory.md."""
    lines = ["| column | unit | gives | by | other names |", "|---|---|---|---|---|"]
    for field in CELL_FIELDS:
        for other in field.conversions:
            names = ", ".join(f"`{name}`" for name in other.aliases) or "-"
            lines.append(f"| `{other.column}` | {other.unit} | `{field.name}` | {other.rule} | {names} |")
    return "\n".join(lines)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
