"""The ONE table of engineering parameters and of services.

Loaders, validation messages, defaults, the sample inventory and the documentation are made from
these rows. A field that is not here does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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

    @property
    def allowed(self) -> str:
        """The allowed range as a phrase for messages and docs."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{' ' + self.unit if self.unit else ''}"
        return {str: "any text", bool: "true or false"}.get(self.kind, "any number")


PATTERNS: Final = ("omni", "sector", "panel")
ENERGY_CLASSES: Final = ("macro", "rrh", "micro", "pico")

CELL_FIELDS: Final[tuple[Field, ...]] = (
    Field("cell", "", str, None, None, None, "unique name of the cell", True, ("cell_id", "cellid", "cell_name", "name", "id", "ci", "ecgi", "nci")),
    Field("latitude_deg", "deg", float, None, -80, 84, "WGS 84 latitude", True, ("latitude", "lat")),
    Field("longitude_deg", "deg", float, None, -180, 180, "WGS 84 longitude", True, ("longitude", "lon", "lng", "long")),
    Field("site", "", str, None, None, None, "name of the site; cells within 1 m share one when it is left out", False, ("site_id", "site_name", "enodeb", "gnodeb", "enb", "gnb", "station")),
    Field("azimuth_deg", "deg", float, 0.0, 0, 360, "compass bearing of boresight, clockwise from north", False, ("azimuth", "bearing", "direction", "heading", "azi")),
    Field("height_m", "m", float, None, 0, 500, "antenna above ground; 3 m indoors and 25 m outdoors when left out", False, ("height", "antenna_height", "antenna_height_m", "hba", "agl", "agl_m")),
    Field("power_dbm", "dBm", float, None, -30, 60, "maximum transmit power of the cell; 24 dBm indoors and 30 dBm outdoors when left out", False, ("power", "max_power_dbm", "tx_power", "tx_power_dbm", "pmax", "configuredmaxtxpower")),
    Field("mechanical_tilt_deg", "deg", float, 0.0, -30, 30, "downwards positive", False, ("mechanical_tilt", "mtilt", "m_tilt", "mech_tilt")),
    Field("electrical_tilt_deg", "deg", float, 6.0, -15, 20, "downwards positive; has an effect on panels only", False, ("electrical_tilt", "etilt", "e_tilt", "elec_tilt", "tilt", "downtilt")),
    Field("pattern", "", str, None, None, None, "antenna; omni indoors and sector outdoors when left out", False, ("antenna", "antenna_pattern"), PATTERNS),
    Field("carrier_ghz", "GHz", float, 3.5, 0.4, 100, "carrier frequency; a column frequency_mhz is converted", False, ("carrier", "frequency_ghz", "freq_ghz", "frequency")),
    Field("blocks", "", int, 45, 1, 1000, "resource blocks (the paper's channels)", False, ("channels", "n_rb", "prb", "prbs", "resource_blocks")),
    Field("block_khz", "kHz", float, 180.0, 15, 10_000, "bandwidth of one block", False, ("block_bandwidth_khz", "rb_khz")),
    Field("indoor", "", bool, False, None, None, "serves the inside of the building it stands in", False, ("is_indoor", "inside")),
    Field("energy_class", "", str, None, None, None, "row of the EARTH power model; pico indoors and rrh outdoors when left out", False, (), ENERGY_CLASSES),
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
