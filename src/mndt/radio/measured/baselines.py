"""What the fit is compared with where cells are known: offsets of cells, nearest neighbours, TR 38.901."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from mndt.radio.antenna import sector_db
from mndt.radio.measured.case import Case
from mndt.radio.measured.features import USER_M
from mndt.radio.pathloss import uma_los_db, uma_nlos_db, umi_los_db, umi_nlos_db

Array = np.ndarray

NEIGHBOURS = 12
UMA_M = 20.0  # antennas above this are macro stations: UMa, 25 m, against UMi, 10 m (TR 38.901 clause 7.2)
WALL_DB = 16.5  # half low, half high loss at 2 GHz, TR 38.901 table 7.4.3-2, with 6 m of rooms


def tr38901_dbm(case: Case) -> Float64[Array, "rows"]:
    """Level by TR 38.901 with the report's element, line of sight by the buildings; not fitted to anything."""
    own = case.links
    slant, carrier, height = (own[name].astype(float) for name in ("slant_m", "carrier_ghz", "height_m"))
    ground = np.sqrt(np.maximum(slant**2 - (height - USER_M) ** 2, 1.0))
    arguments = (ground, slant, carrier, np.maximum(height, 2.0), USER_M)
    sight = np.where(height > UMA_M, uma_los_db(*arguments), umi_los_db(*arguments))
    hidden = np.where(height > UMA_M, uma_nlos_db(*arguments), umi_nlos_db(*arguments))
    loss = np.where(own["obstructed"] > 0, hidden, sight) + WALL_DB * own["indoor"]
    gain = np.where(own["omni"] > 0, 0.0, sector_db(own["off_azimuth_deg"], 90.0 + own["below_deg"]))
    return np.asarray(own["power_dbm"] + gain - loss)


def with_cell_offsets(
    case: Case, guess_dbm: Float64[Array, "rows"], rows: Int64[Array, "known"]
) -> Float64[Array, "rows"]:
    """A guess moved by the mean of each cell's rest over the known rows; by that of all for unseen cells."""
    cell, n = case.samples.cell, len(case.cells)
    rest = case.samples.rsrp_dbm[rows] - guess_dbm[rows]
    count = np.bincount(cell[rows], minlength=n)
    mean = np.bincount(cell[rows], rest, n) / np.maximum(count, 1)
    return np.asarray(guess_dbm + np.where(count > 0, mean, rest.mean())[cell])


def log_distance_dbm(case: Case, rows: Int64[Array, "known"]) -> Float64[Array, "rows"]:
    """One slope for all cells, fitted together with an offset of each."""
    cell, n = case.samples.cell, len(case.cells)
    distance, level = case.links["log_slant"].astype(float), case.samples.rsrp_dbm
    count = np.maximum(np.bincount(cell[rows], minlength=n), 1)
    centre = (np.bincount(cell[rows], distance[rows], n) / count)[cell[rows]]
    middle = (np.bincount(cell[rows], level[rows], n) / count)[cell[rows]]
    aside = distance[rows] - centre
    slope = float(aside @ (level[rows] - middle) / max(aside @ aside, 1e-9))
    return with_cell_offsets(case, slope * distance, rows)


def neighbours_dbm(
    case: Case, guess_dbm: Float64[Array, "rows"], known: Int64[Array, "known"], wanted: Int64[Array, "wanted"]
) -> Float64[Array, "wanted"]:
    """A guess plus the mean rest of the `NEIGHBOURS` nearest known samples of the same cell."""
    from scipy.spatial import cKDTree

    s = case.samples
    out, rest = guess_dbm[wanted].copy(), s.rsrp_dbm - guess_dbm
    for cell in np.unique(s.cell[wanted]):
        mine, asked = known[s.cell[known] == cell], np.flatnonzero(s.cell[wanted] == cell)
        if not len(mine):
            continue
        k = min(NEIGHBOURS, len(mine))
        places = np.column_stack((s.x_m[wanted[asked]], s.y_m[wanted[asked]]))
        near = cKDTree(np.column_stack((s.x_m[mine], s.y_m[mine]))).query(places, k=k)[1].reshape(len(asked), k)
        out[asked] += rest[mine[near]].mean(axis=1)
    return np.asarray(out)
