"""A made-up operator's measurements: a generated city, hidden parameters, phones that report their serving cell.

The hidden propagation is deliberately not the law that `mndt fit radio` fits: over-roof and street
paths add up in power, patterns have other widths, some azimuths in the inventory are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64

from mndt.city.raster import Raster, facade, rasterise
from mndt.city.synthetic import synthetic_city
from mndt.parallel import track
from mndt.radio.antenna import own_frame_deg
from mndt.radio.measured.samples import Ground, MeasuredCells, Samples, ground_of
from mndt.radio.pathloss import free_space_db, umi_nlos_db
from mndt.radio.shadowing import unit_field
from mndt.runfolder import write_text
from mndt.streams import Streams
from mndt.units import db_to_linear, linear_to_db

Array = np.ndarray
USER_M = 1.5


@dataclass(frozen=True)
class Hidden:
    """What the fit is not told."""

    los_slope_db: float = 22.0  # per decade of distance
    street_offset_db: float = 6.0  # of the street path over TR 38.901 UMi without line of sight
    street_slope_db: float = 8.0  # further loss of it per decade beyond 100 m
    roof_share: float = 0.7  # of the diffraction loss in dB that counts
    wall_db: float = 15.0
    wall_spread_db: float = 4.0  # between buildings
    indoor_db_per_m: float = 0.5
    cell_db: float = 3.5  # spread of per-cell offsets
    site_shadow_db: float = 5.0
    site_shadow_m: float = 40.0
    place_shadow_db: float = 4.0  # common to all cells: the user's surroundings
    place_shadow_m: float = 25.0
    noise_db: float = 2.5
    attach_db: float = 3.0  # how far from the strongest cell a phone may be served
    position_m: float = 6.0  # error of reported positions
    wrong_azimuths: float = 0.06


@dataclass(frozen=True)
class OperatorFile:
    """Measurements with the truth behind them."""

    samples: Samples
    cells: MeasuredCells
    ground: Ground
    hidden: Hidden
    mean_dbm: Float32[Array, "cells rows cols"]  # level without noise at every pixel, selected or not
    indoor: Bool[Array, "rows cols"]
    azimuth_deg: Float64[Array, "cells"]  # where the cells point, whatever the inventory says


def make(
    *, seed: int = 0, rows: int = 60_000, sites: int = 25, size_m: float = 1600.0, hidden: Hidden | None = None
) -> OperatorFile:
    """Draw an operator's file.

    Args:
        seed: the city and everything else.
        rows: measurements wanted.
        sites: three-sector stations on roofs; every second one has a second carrier.
        size_m: side of the city.
        hidden: parameters the fit does not see.
    """
    hidden = hidden or Hidden()
    streams = Streams(seed)
    city = synthetic_city(
        seed=seed, size_m=size_m, lanes=int(460 * (size_m / 1000) ** 2), areas=int(350 * (size_m / 1000) ** 2),
        outdoor_sites=4, indoor_sites=2,
    )  # fmt: skip
    raster = rasterise(city.buildings, city.frame, 5.0)
    true, told = _network(raster, sites, size_m, hidden, streams)
    mean_dbm = _levels(raster, true, hidden, streams)
    samples = _reports(mean_dbm, raster, true, rows, hidden, streams)
    ground = ground_of(raster.cell_m, 0.0, 0.0, raster.height_m, None, raster.building)
    return OperatorFile(samples, told, ground, hidden, mean_dbm, raster.building >= 0, true.azimuth_deg)


def _network(
    raster: Raster, n: int, size_m: float, hidden: Hidden, streams: Streams
) -> tuple[MeasuredCells, MeasuredCells]:
    """The cells as they are, and as the inventory has them."""
    rng = streams.generator("operator sites")
    side = int(np.ceil(np.sqrt(n)))
    x, y = (np.array(v) for v in np.meshgrid(np.arange(side), np.arange(side)))
    spots = (np.column_stack((x.ravel(), y.ravel()))[rng.permutation(side * side)[:n]] + 0.5) * size_m / side
    spots = np.clip(spots + rng.normal(0, 0.15 * size_m / side, spots.shape), 20.0, size_m - 20.0)
    pixel = (spots / raster.cell_m).astype(int)
    roof = raster.height_m[pixel[:, 1], pixel[:, 0]]
    height = np.where(roof > 0, roof + rng.uniform(2, 6, n), rng.uniform(12, 35, n))
    carriers = np.where(np.arange(n) % 2, 2, 1)
    site = np.repeat(np.arange(n), 3 * carriers)
    order = np.concatenate([np.arange(3 * c) for c in carriers])
    azimuth = (rng.uniform(0, 120, n)[site] + 120.0 * (order % 3) + rng.normal(0, 8, len(site))) % 360.0
    mechanical, electrical = rng.integers(0, 5, len(site)).astype(float), rng.integers(2, 9, len(site)).astype(float)
    carrier = np.where(order < 3, 1.8, 2.6)
    true = MeasuredCells(
        name=tuple(f"C{i:04d}" for i in range(len(site))), site=site.astype(np.int32),
        x_m=spots[site, 0], y_m=spots[site, 1], height_m=height[site], azimuth_deg=azimuth,
        mechanical_tilt_deg=mechanical, electrical_tilt_deg=electrical,
        power_dbm=rng.choice([9.2, 12.2, 15.2, 18.2], n)[site], carrier_ghz=carrier, omni=np.zeros(len(site), bool),
    )  # fmt: skip
    wrong = rng.random(len(site)) < hidden.wrong_azimuths
    told = np.where(wrong, (azimuth + rng.choice([60.0, 120.0, 180.0], len(site))) % 360.0, azimuth)
    return true, MeasuredCells(**{**vars(true), "azimuth_deg": np.round(told)})


def _levels(
    raster: Raster, cells: MeasuredCells, hidden: Hidden, streams: Streams
) -> Float32[Array, "cells rows cols"]:
    """Level of every cell at every pixel, before a phone's own noise."""
    from mndt.radio.diffraction import Surface, sweep

    rng = streams.generator("operator levels")
    rows, cols = raster.building.shape
    y, x = ((index + 0.5) * raster.cell_m for index in np.indices((rows, cols)))
    surface = Surface(raster.cell_m, raster.height_m, raster.building, None)
    inside_db = _inside_db(raster, hidden, rng)
    row, col = np.indices((rows, cols))
    door = facade(raster)
    indoor = raster.building >= 0
    row[indoor], col[indoor] = door.row, door.col
    shared = hidden.place_shadow_db * unit_field(rows, cols, raster.cell_m, hidden.place_shadow_m, rng)
    fields = {
        s: hidden.site_shadow_db * unit_field(rows, cols, raster.cell_m, hidden.site_shadow_m, rng)
        for s in np.unique(cells.site)
    }
    offset = rng.normal(0.0, hidden.cell_db, len(cells))
    width_deg, height_deg = rng.choice([60.0, 65.0, 80.0], len(cells)), rng.choice([6.5, 9.0, 14.0], len(cells))
    out = np.empty((len(cells), rows, cols), np.float32)
    for c in track(range(len(cells)), "levels"):
        height, carrier = float(cells.height_m[c]), float(cells.carrier_ghz[c])
        dx, dy = x - cells.x_m[c], y - cells.y_m[c]
        flat = np.hypot(dx, dy)
        slant = np.maximum(np.hypot(flat, height - USER_M), 5.0)
        own = int(raster.building[int(cells.y_m[c] / raster.cell_m), int(cells.x_m[c] / raster.cell_m)])
        excess = sweep(surface, cells.x_m[c], cells.y_m[c], height, carrier, own=own).excess_db[row, col]
        loss = _loss_db(flat, slant, carrier, height, excess, hidden)
        phi, _ = own_frame_deg(np.degrees(np.arctan2(dx, dy)), 90.0, cells.azimuth_deg[c], 0.0)
        tilt = cells.mechanical_tilt_deg[c] * np.cos(np.radians(phi)) + cells.electrical_tilt_deg[c]
        down = np.degrees(np.arctan2(height - USER_M, np.maximum(flat, 1.0))) - tilt
        cuts = np.minimum(12 * (phi / width_deg[c]) ** 2, 27) + np.minimum(12 * (down / height_deg[c]) ** 2, 24)
        gain = 15.5 - np.minimum(cuts, 33.0)
        out[c] = cells.power_dbm[c] + gain - loss - inside_db + offset[c] + fields[int(cells.site[c])] + shared
    return out


def _loss_db(
    flat: Array, slant: Array, carrier_ghz: float, height_m: float, excess_db: Array, hidden: Hidden
) -> Float64[Array, "rows cols"]:
    """Line of sight by a slope of its own; elsewhere the way over the roofs and the one through the streets."""
    beyond = np.log10(np.maximum(slant, 20.0) / 100.0)
    sight = free_space_db(slant, carrier_ghz) + (hidden.los_slope_db - 20.0) * beyond
    street = umi_nlos_db(flat, slant, carrier_ghz, height_m, USER_M) + hidden.street_offset_db
    street = np.maximum(street + hidden.street_slope_db * np.maximum(beyond, 0.0), sight + 3.0)
    both = -linear_to_db(db_to_linear(-(sight + hidden.roof_share * excess_db)) + db_to_linear(-street))
    return np.where(excess_db > 0.0, both, sight)


def _inside_db(raster: Raster, hidden: Hidden, rng: np.random.Generator) -> Float64[Array, "rows cols"]:
    """Loss of walls and rooms; 0 outdoors."""
    indoor = raster.building >= 0
    walls = rng.normal(hidden.wall_db, hidden.wall_spread_db, int(raster.building.max()) + 1)
    out = np.zeros(raster.building.shape)
    out[indoor] = np.maximum(walls[raster.building[indoor]], 2.0) + hidden.indoor_db_per_m * facade(raster).depth_m
    return out


def _reports(
    mean_dbm: Array, raster: Raster, cells: MeasuredCells, n: int, hidden: Hidden, streams: Streams
) -> Samples:
    """Phones at places where people are; each reports the cell that serves it, on one of the carriers."""
    rng = streams.generator("operator reports")
    rows, cols = raster.building.shape
    busy = np.exp(1.5 * unit_field(rows, cols, raster.cell_m, 100.0, rng)) * np.where(raster.building >= 0, 2.0, 1.0)
    place = rng.choice(rows * cols, 2 * n, p=(busy / busy.sum()).ravel())
    levels = mean_dbm.reshape(len(cells), -1)[:, place].T + rng.normal(0, hidden.noise_db, (2 * n, len(cells)))
    carriers = np.unique(cells.carrier_ghz)
    wanted = rng.choice(carriers, 2 * n)
    ranked = levels + rng.normal(0, hidden.attach_db, levels.shape)
    ranked[cells.carrier_ghz[None, :] != wanted[:, None]] = -np.inf
    served = ranked.argmax(axis=1)
    level = levels[np.arange(2 * n), served]
    xy = np.column_stack((place % cols, place // cols)) * raster.cell_m + rng.uniform(0, raster.cell_m, (2 * n, 2))
    xy = xy + rng.normal(0, hidden.position_m, xy.shape)
    heard = (level > -125.0) & (xy > 0).all(axis=1) & (xy < np.array([cols, rows]) * raster.cell_m).all(axis=1)
    keep = np.flatnonzero(heard)[:n]
    snapped = (np.floor(xy[keep] / 5.0) + 0.5) * 5.0
    return Samples(served[keep].astype(np.int32), snapped[:, 0], snapped[:, 1], np.round(level[keep], 1))


def write_files(found: OperatorFile, folder: Path) -> Path:
    """Write a made-up operator's ``rsrp.csv``, ``cells.csv`` and ``terrain.csv``, for trials and docs."""
    s, c = found.samples, found.cells
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{c.name[k]},{x:.1f},{y:.1f},{r:.1f}" for k, x, y, r in zip(s.cell, s.x_m, s.y_m, s.rsrp_dbm, strict=True)
    ]
    write_text(folder / "rsrp.csv", "\n".join(["cell,x,y,rsrp_dbm", *lines]) + "\n")
    header = "cell,x,y,height_m,azimuth_deg,mechanical_tilt_deg,electrical_tilt_deg,power_dbm,carrier_ghz"
    columns = (
        c.x_m,
        c.y_m,
        c.height_m,
        c.azimuth_deg,
        c.mechanical_tilt_deg,
        c.electrical_tilt_deg,
        c.power_dbm,
        c.carrier_ghz,
    )
    lines = [",".join([name, *(f"{v[k]:.2f}" for v in columns)]) for k, name in enumerate(c.name)]
    write_text(folder / "cells.csv", "\n".join([header, *lines]) + "\n")
    row, col = np.indices(found.ground.roof_m.shape)
    edge = found.ground.cell_m
    lines = [
        f"{(i + 0.5) * edge:.1f},{(j + 0.5) * edge:.1f},0,{h:.1f}"
        for i, j, h in zip(col.ravel(), row.ravel(), found.ground.roof_m.ravel(), strict=True)
    ]
    write_text(folder / "terrain.csv", "\n".join(["x,y,ground_m,building_m", *lines]) + "\n")
    return folder
