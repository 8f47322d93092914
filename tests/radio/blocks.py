"""A small city of rectangular blocks for the radio tests."""

from __future__ import annotations

import numpy as np

from mndt.city.model import Areas, Buildings, Cells, City, Frame, Sites, Ways
from mndt.state import CellSettings

f8, i8 = np.float64, np.int64


def buildings_of(boxes, height_m=20.0, use=0):
    """Boxes are (west, south, east, north) in metres."""
    n = len(boxes)
    corners = np.array([[(w, s), (e, s), (e, n_), (w, n_)] for w, s, e, n_ in boxes], f8).reshape(-1, 2)
    return Buildings(
        height_m=np.broadcast_to(np.asarray(height_m, f8), n).copy(),
        height_known=np.ones(n, bool),
        use=np.broadcast_to(np.asarray(use), n).copy(),
        ring_start=np.arange(n + 1),
        ring_is_hole=np.zeros(n, bool),
        point_start=4 * np.arange(n + 1),
        point_x_m=corners[:, 0],
        point_y_m=corners[:, 1],
    )


def no_ways():
    none, no = np.zeros(0), np.zeros(0, i8)
    return Ways(none, none, np.zeros(0, bool), no, no, none, none, no, no, np.zeros(1, i8), none, none)


def no_areas():
    none, no = np.zeros(0), np.zeros(0, i8)
    return Areas(no, no, none, none, none, no, no, np.zeros(1, i8), none, none)


def city_of(boxes, stations, size_m=(400.0, 400.0), *, roof_m=20.0, use=0, cells=None, pattern="omni", carrier_ghz=3.5):
    """Stations are (x, y, height, building) with building -1 outdoors; `cells` maps cells to stations."""
    stations = np.array(stations, f8).reshape(-1, 4)
    n = len(stations)
    cells = np.arange(n) if cells is None else np.asarray(cells)
    m = len(cells)
    pattern = (pattern,) * m if isinstance(pattern, str) else tuple(pattern)
    sites = Sites(
        tuple(f"s{i}" for i in range(n)),
        stations[:, 0],
        stations[:, 1],
        stations[:, 3] >= 0,
        stations[:, 3].astype(i8),
    )
    built = Cells(
        name=tuple(f"c{i}" for i in range(m)),
        site=cells,
        height_m=stations[cells, 2],
        azimuth_deg=(np.arange(m) * 120.0) % 360.0,
        mechanical_tilt_deg=np.zeros(m),
        electrical_tilt_deg=np.full(m, 6.0),
        pattern=pattern,
        carrier_hz=np.broadcast_to(np.asarray(carrier_ghz) * 1e9, m).copy(),
        blocks=np.full(m, 45),
        block_hz=np.full(m, 180e3),
        max_power_w=np.ones(m),
        energy_class=("rrh",) * m,
    )
    frame = Frame(32635, 0.0, 0.0, size_m[0], size_m[1])
    return City("blocks", frame, no_ways(), no_ways(), buildings_of(boxes, roof_m, use), no_areas(), sites, built)


def grid(size_m, block_m=60.0, street_m=20.0):
    """Blocks in a regular street grid."""
    starts = np.arange(street_m, size_m - block_m, block_m + street_m)
    return [(w, s, w + block_m, s + block_m) for w in starts for s in starts]


def settings_of(city, **changes):
    cells = city.cells
    f4 = np.float32
    columns = {
        "power_w": np.asarray(cells.max_power_w, f4),
        "azimuth_deg": np.asarray(cells.azimuth_deg, f4),
        "mechanical_tilt_deg": np.asarray(cells.mechanical_tilt_deg, f4),
        "electrical_tilt_deg": np.asarray(cells.electrical_tilt_deg, f4),
        "handover_offset_db": np.zeros(len(cells), f4),
        "status": np.zeros(len(cells), np.int8),
    }
    columns.update({name: np.broadcast_to(np.asarray(value, f4), len(cells)).copy() for name, value in changes.items()})
    return CellSettings(**columns)
