"""Table I of the paper, rebuilt: the nine settings read off a generated city, paper beside ours.

The table's 45 channels of 184 stations are 8,280 places for 13,000 users. So that nobody takes the
gap for a fault, one second in which everyone asks for something shows who is left unserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt.checks.output import Result, aligned, number
from mndt.units import THERMAL_NOISE_DBM_PER_HZ, w_to_dbm

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.state import Kpis
    from mndt.world import World

TABLE1: Final[dict[str, float]] = {
    "area_km2": 4.0,
    "users": 13_000,
    "lanes": 1_850,
    "areas": 1_417,
    "outdoor_stations": 39,
    "indoor_stations": 145,
    "outdoor_power_dbm": 30.0,
    "indoor_power_dbm": 24.0,
    "channels": 45,
    "block_hz": 180e3,
    "noise_dbm_per_hz": -174.0,
}
"""Settings of the paper's Table I; stations and powers, one setting each there, are two keys here."""


@dataclass(frozen=True)
class Setting:
    """One of the nine rows."""

    label: str
    keys: tuple[str, ...]  # of TABLE1, printed with a slash between


SETTINGS: Final = (
    Setting("area in km2", ("area_km2",)),
    Setting("users", ("users",)),
    Setting("lanes", ("lanes",)),
    Setting("areas of interest", ("areas",)),
    Setting("stations, outdoor / indoor", ("outdoor_stations", "indoor_stations")),
    Setting("power in dBm, outdoor / indoor", ("outdoor_power_dbm", "indoor_power_dbm")),
    Setting("channels of a station", ("channels",)),
    Setting("bandwidth of a channel in Hz", ("block_hz",)),
    Setting("noise in dBm/Hz", ("noise_dbm_per_hz",)),
)


def run(*, seed: int = 0, crowd: bool = True) -> Result:
    """Build the city of the preset ``table1`` and read its settings off.

    Args:
        seed: of the generated city.
        crowd: also simulate the second in which everyone is active (needs the gain maps: a minute
            the first time).

    Returns:
        Figures: every key of `TABLE1`, `places` (channels of all cells), and with `crowd`
        `unserved`, `unserved_inside`, `unserved_outside`: users no cell admitted when all ask.
    """
    from mndt import runs
    from mndt.scenario import load, open_city, set_value

    scenario = set_value(load("table1"), f"city.seed={seed}")
    city = open_city(scenario.city)
    world = runs.build(scenario, city=city) if crowd else None
    figures = settings(city, world.mobility.n_users if world else scenario.users.count or 0)
    figures["places"] = int(city.cells.blocks.sum())
    rows = [["Table I", "paper", "ours"]]
    for row in SETTINGS:
        rows.append([row.label, *(" / ".join(number(side[key]) for key in row.keys) for side in (TABLE1, figures))])
    note = f"{figures['places']:,} places for {figures['users']:,} users"
    if world is not None:
        figures |= left_out(world)
        note += (
            f": when everyone asks at once {figures['unserved']:,} are left unserved"
            f" ({figures['unserved_inside']:,} inside buildings and areas, {figures['unserved_outside']:,} on the way)"
        )
    return Result("table1", figures, seeds=[seed], table=aligned(rows), note=note + ".")


def settings(city: City, n_users: int) -> dict[str, float]:
    """The keys of `TABLE1` as this city has them; a value that differs between cells is refused."""
    cells, sites = city.cells, city.sites
    power_dbm = w_to_dbm(cells.max_power_w)
    indoor = sites.indoor[cells.site]
    return {
        "area_km2": round(city.frame.area_km2, 6),
        "users": n_users,
        "lanes": city.roads.n_lanes,
        "areas": len(city.areas),
        "outdoor_stations": int((~sites.indoor).sum()),
        "indoor_stations": int(sites.indoor.sum()),
        "outdoor_power_dbm": _the_one(power_dbm[~indoor]),
        "indoor_power_dbm": _the_one(power_dbm[indoor]),
        "channels": int(_the_one(cells.blocks)),
        "block_hz": _the_one(cells.block_hz),
        "noise_dbm_per_hz": THERMAL_NOISE_DBM_PER_HZ,
    }


def left_out(world: World) -> dict[str, float]:
    """Who is left unserved in one second at 08:00 in which every user asks for something."""
    from mndt import engine
    from mndt.state import Action, Demand, Mode
    from mndt.streams import Streams

    state, streams = engine.start(world), Streams(world.seed)
    n_users = len(state.users)
    everyone = Demand(np.zeros(n_users, np.int8), np.full(n_users, 1e6, np.float32))
    after, kpis = engine.serve(world, state, state.users, everyone, Action(), streams)
    unserved = _refused(kpis, after.serving)
    inside = state.users.mode == Mode.INSIDE
    return {
        "unserved": int(unserved.sum()),
        "unserved_inside": int((unserved & inside).sum()),
        "unserved_outside": int((unserved & ~inside).sum()),
    }


def _refused(kpis: Kpis, serving: np.ndarray) -> np.ndarray:
    return np.asarray(kpis.user_active & (serving < 0))


def _the_one(values: np.ndarray) -> float:
    """The value all cells share."""
    rounded = np.unique(np.round(values, 6))
    if len(rounded) != 1:
        raise ValueError(f"cells differ: {rounded}")
    return float(rounded[0])
