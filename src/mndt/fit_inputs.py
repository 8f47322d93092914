"""The files of a fit, brought to one frame, with what had to be left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt.city.cell_table import CellTable, read_cell_table, sites_of
from mndt.city.model import City
from mndt.errors import InputError
from mndt.formats import measurements
from mndt.radio.measured.samples import Ground, MeasuredCells, Samples, bare_ground, ground_of

if TYPE_CHECKING:
    from pyproj import Transformer

Array = np.ndarray

LEAST_ROWS: Final = 200
LEAST_SITES: Final = 4
LEAST_BLOCKS: Final = 20
"""Blocks of 50 m with reports: some are held out."""
FARTHEST_M: Final = 20_000.0
"""Reports farther than this from their cell are errors of position or of name."""
MAP_CELL_M: Final = 4.0


@dataclass(frozen=True)
class Frame:
    """From the files' positions to metres; shifts make small numbers of UTM ones where a city's frame is meant."""

    epsg: int | None  # None: metres as they are
    east_m: float = 0.0
    north_m: float = 0.0

    def metres(self, first: Array, second: Array, *, in_degrees: bool) -> tuple[Array, Array]:
        """Positions in the frame."""
        if in_degrees:
            first, second = self._forward.transform(first, second)
        elif self.epsg is not None and np.median(np.abs(second)) < 1e5:
            return first, second  # metres of the city already, not of its UTM zone
        return np.asarray(first) - self.east_m, np.asarray(second) - self.north_m

    @property
    def _forward(self) -> Transformer:
        from pyproj import Transformer

        return Transformer.from_crs(4326, self.epsg, always_xy=True)


@dataclass(frozen=True)
class Inputs:
    """What a fit starts from, in one frame."""

    samples: Samples
    cells: MeasuredCells
    ground: Ground
    repairs: tuple[str, ...]  # a line for each kind of report that was left out, and other remarks

    @property
    def n_sites(self) -> int:
        """Sites with reports."""
        return _sites(self.samples, self.cells)


def read_inputs(
    measured: Path, sites: Path, *, terrain: Path | None, buildings: Path | None, city: str | None
) -> Inputs:
    """Read measurements, inventory, and the ground; the arguments are those of `fits.fit_files`.

    Raises:
        InputError: files that do not fit, or too few reports.
    """
    table, info = measurements.read(measured)
    cell_table = read_cell_table(sites)
    world = _open_map(city) if city else None
    frame = _frame(world, cell_table, info.in_degrees, measured, sites)
    cells = _cells(cell_table, frame)
    samples, repairs = _samples(table, info, cells, frame, measured)
    ground = _ground(world, terrain, buildings, frame, samples, cells, repairs)
    return Inputs(samples, cells, ground, tuple(repairs))


def _open_map(city: str) -> City:
    """A city by whatever names it."""
    from mndt.scenario import CitySource, load, open_city

    path = Path(city)
    if city.endswith(".npz"):
        return open_city(CitySource(source="file", file=str(path.resolve())))
    if city.endswith((".osm.pbf", ".pbf")):
        if not path.is_file():
            raise InputError("--map", path, allowed="an existing file", fix="check the path")
        return open_city(CitySource(source="osm", file=str(path.resolve())))
    return open_city(load(city).city)


def _frame(world: City | None, cells: CellTable, in_degrees: bool, measured: Path, sites: Path) -> Frame:
    """The frame that all positions are brought to."""
    if world is not None:
        return Frame(world.frame.epsg, world.frame.origin_easting_m, world.frame.origin_northing_m)
    if in_degrees != cells.in_degrees:
        words = {True: "degrees", False: "metres"}
        raise InputError(
            "positions", f"in {words[in_degrees]} here and in {words[cells.in_degrees]} in {sites}",
            allowed="both alike, unless --map gives the frame", fix="give both in degrees or both in metres",
            where=str(measured),
        )  # fmt: skip
    if not in_degrees:
        return Frame(None)
    from mndt.formats.terrain import utm_zone

    return Frame(utm_zone(float(np.median(cells.first)), float(np.median(cells.second))))


def _cells(table: CellTable, frame: Frame) -> MeasuredCells:
    x, y = frame.metres(table.first, table.second, in_degrees=table.in_degrees)
    return MeasuredCells(
        name=tuple(measurements.plain_name(record["cell"]) for record in table.records),
        site=sites_of(x, y),
        x_m=x,
        y_m=y,
        height_m=np.maximum(table.column("height_m", 25.0), 1.0),
        azimuth_deg=table.column("azimuth_deg", 0.0),
        mechanical_tilt_deg=table.column("mechanical_tilt_deg", 0.0),
        electrical_tilt_deg=table.column("electrical_tilt_deg", 6.0),
        power_dbm=table.column("power_dbm", 30.0),
        carrier_ghz=table.column("carrier_ghz", 3.5),
        omni=np.array([record["pattern"] == "omni" or bool(record["indoor"]) for record in table.records]),
    )


def _samples(
    table: measurements.Measurements, info: measurements.MeasurementInfo, cells: MeasuredCells, frame: Frame, path: Path
) -> tuple[Samples, list[str]]:
    """Reports of known cells near them, and a line for each kind that was left out."""
    row_of = {name: row for row, name in enumerate(cells.name)}
    names, which = np.unique(table.cell, return_inverse=True)
    cell = np.array([row_of.get(str(name), -1) for name in names], np.int32)[which.reshape(-1)]
    if (cell < 0).all():
        raise InputError(
            "cell", f"'{names[0]}' and {len(names) - 1} others", allowed="names that are in the inventory",
            fix=f"the inventory has '{cells.name[0]}', ...", where=str(path),
        )  # fmt: skip
    x, y = frame.metres(table.first, table.second, in_degrees=info.in_degrees)
    far = (cell >= 0) & (np.hypot(x - cells.x_m[cell], y - cells.y_m[cell]) > FARTHEST_M)
    kept = (cell >= 0) & ~far
    samples = Samples(cell[kept], np.asarray(x)[kept], np.asarray(y)[kept], table.rsrp_dbm[kept])
    counted = (
        (info.incomplete, "without a cell, a position or a level"),
        (info.out_of_range, "with a level outside -160 to -20 dBm"),
        (int((cell < 0).sum()), f"of {int((np.array([str(n) not in row_of for n in names])).sum())} unknown cells"),
        (int(far.sum()), f"farther than {FARTHEST_M / 1000:g} km from their cell"),
    )
    repairs = [f"left out {n:,} of {info.read:,} reports: {what}" for n, what in counted if n]
    n_sites = _sites(samples, cells) if len(samples) else 0
    if len(samples) < LEAST_ROWS or n_sites < LEAST_SITES:
        found = f"{len(samples)} from {n_sites} sites" + (f" ({'; '.join(repairs)})" if repairs else "")
        raise InputError(
            "reports that can be used", found, allowed=f"at least {LEAST_ROWS} from at least {LEAST_SITES} sites",
            fix="give more measurements; some sites are held out to judge the fit", where=str(path),
        )  # fmt: skip
    blocks = len(np.unique(np.floor(np.column_stack((samples.x_m, samples.y_m)) / 50.0), axis=0))
    if blocks < LEAST_BLOCKS:
        raise InputError(
            "blocks of 50 m with reports", blocks, allowed=f"at least {LEAST_BLOCKS}",
            fix="give measurements of more places, with positions in metres or degrees", where=str(path),
        )  # fmt: skip
    return samples, repairs


def _ground(
    world: City | None, terrain: Path | None, buildings: Path | None, frame: Frame,
    samples: Samples, cells: MeasuredCells, repairs: list[str],
) -> Ground:  # fmt: skip
    """Buildings of the map, else those of the terrain, else none."""
    altitude = None
    if terrain is not None:
        from mndt.formats.terrain import read

        found, info = read(terrain, buildings, epsg=frame.epsg)
        if info.ground_gaps:
            repairs.append(f"filled {info.ground_gaps:,} gaps of the terrain from their neighbours")
        west, south = found.origin_x_m, found.origin_y_m
        if frame.epsg is not None and abs(south) > 1e5:
            west, south = west - frame.east_m, south - frame.north_m
        roof = found.building_m if found.building_m is not None else np.zeros_like(found.ground_m)
        altitude = ground_of(found.cell_m, west, south, roof, found.ground_m)
    ground = altitude
    if world is not None:
        from mndt.city.raster import rasterise

        roofs = rasterise(world.buildings, world.frame, MAP_CELL_M)
        ground = ground_of(
            MAP_CELL_M, 0.0, 0.0, roofs.height_m, _levels(roofs.height_m.shape, altitude), roofs.building
        )
    if ground is None:
        repairs.append("no buildings are known: give --map or --terrain for a better fit")
        return bare_ground(samples, cells)
    beyond = int((~ground.pixels(samples.x_m, samples.y_m).inside).sum())
    if beyond == len(samples):
        raise InputError(
            "positions of all reports", f"beyond the {'map' if world is not None else 'terrain'}",
            allowed=f"x {ground.west_m:,.0f} to {ground.west_m + ground.cell_m * ground.roof_m.shape[1]:,.0f} m,"
            f" y {ground.south_m:,.0f} to {ground.south_m + ground.cell_m * ground.roof_m.shape[0]:,.0f} m",
            fix="check that all files use one coordinate system",
        )  # fmt: skip
    if beyond:
        repairs.append(f"{beyond:,} reports lie beyond the map and count as outdoors, with nothing known around them")
    return ground


def _levels(shape: tuple[int, ...], altitude: Ground | None) -> Array | None:
    """Altitude on a map's raster, nearest pixel."""
    if altitude is None:
        return None
    row, col = ((np.arange(n) + 0.5) * MAP_CELL_M for n in shape)
    at = altitude.pixels(np.tile(col, len(row)), np.repeat(row, len(col)))
    return np.asarray(altitude.ground_m[at.row, at.col].reshape(shape))


def _sites(samples: Samples, cells: MeasuredCells) -> int:
    return len(np.unique(cells.site[np.unique(samples.cell)]))
