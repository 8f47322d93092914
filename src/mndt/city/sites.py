"""Cell inventories in and out. Placing stations where there is none: `mndt.city.placement`."""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.city import _inventory
from mndt.city._inventory import Record
from mndt.city.antennas import is_file, read_antenna, write_antennas
from mndt.city.footprints import building_at, footprints
from mndt.city.model import AntennaTable, Buildings, Cells, City, Frame, Sites
from mndt.city.placement import place_sites
from mndt.city.schema import CELL_FIELDS
from mndt.errors import InputError
from mndt.files import whole_file
from mndt.formats import inventory, opencellid
from mndt.units import dbm_to_w, w_to_dbm

__all__ = ["attribution", "cells_from_rows", "place_sites", "read_cells", "write_cells"]

logger = logging.getLogger(__name__)

_ONE_PLACE_M: Final = 1.0  # cells without a site name share a site within this distance
_ONE_SITE_M: Final = 25.0  # cells of one site name: the corners of a roof; farther ones are remote heads
_WALL_M: Final = 20.0  # how far outside its building an indoor cell may be surveyed
_MAP_EDGE_M: Final = 2e-3  # tolerance on positions: a written inventory is exact to about a millimetre
_ROOF_M: Final = 3.0  # antennas above a roof
_MICRO_DBM: Final = 38.0  # largest output of the EARTH micro station (6.3 W)
_SITE_FORMAT: Final = "S{:03d}"


def read_cells(
    path: str | Path, frame: Frame, buildings: Buildings, *, radios: Iterable[str] = ("LTE", "NR")
) -> tuple[Sites, Cells]:
    """Sites and cells of an inventory.

    Columns, aliases, units and defaults are those of `schema.CELL_FIELDS`; comma, semicolon or tab
    separated. OpenCellID data are recognised by their columns; see `formats.opencellid` for what
    they lack: stations get the mean position of their cells, and azimuths spread evenly.
    Cells outside the map are left out and counted in the log.

    Args:
        path: text file, plain or gzip.
        frame: extent of the map.
        buildings: where indoor cells stand.
        radios: of OpenCellID data: which radio technologies to take.

    Raises:
        InputError: one sentence with file, line, field, value, range and fix.
    """
    if opencellid.is_opencellid(path):
        return _from_opencellid(Path(path), frame, buildings, tuple(radios))
    rows, info = inventory.read(path)
    columns = _inventory.find_columns(info.columns, f"{path} line {info.header_line}")
    return cells_from_rows(
        [_inventory.pick(row.values, columns) for row in rows],
        frame,
        buildings,
        source=str(path),
        where=[f"{path} line {row.line}" for row in rows],
        decimal_comma=info.decimal_comma,
        folder=Path(path).parent,
    )


def attribution(path: str | Path) -> str:
    """The notice to be shown with data of this inventory: OpenCellID asks for one, your own file for none."""
    return opencellid.ATTRIBUTION if opencellid.is_opencellid(path) else ""


def cells_from_rows(
    rows: Sequence[Mapping[str, Any]],
    frame: Frame,
    buildings: Buildings,
    *,
    source: str = "cells",
    where: Sequence[str] | None = None,
    decimal_comma: bool = False,
    folder: Path = Path(),
) -> tuple[Sites, Cells]:
    """Sites and cells from one mapping for each cell: field name of `schema.CELL_FIELDS` -> value or text.

    Args:
        rows: cells; fields left out get their defaults.
        frame: extent of the map.
        buildings: where indoor cells stand.
        source: name of the whole, for messages.
        where: name of each row, for messages.
        decimal_comma: texts may hold 60,17.
        folder: where antenna files are that a pattern names; `mndt.city.antennas.antennas_of` reads them.

    Raises:
        InputError: a value out of range, a name twice, positions off the map, an indoor cell outdoors, no antenna file.
    """
    ground = _Ground(frame)
    where = where or [f"{source} row {k + 1}" for k in range(len(rows))]
    records = [
        _inventory.check(row, at, decimal_comma=decimal_comma, swapped=ground.holds_swapped)
        for row, at in zip(rows, where, strict=True)
    ]
    _refuse_twins(records, where)
    on_map = _on_map(records, ground, source, where)
    records, where = [records[k] for k in on_map], [where[k] for k in on_map]
    tilted = [rows[k].get("electrical_tilt_deg") not in (None, "") for k in on_map]
    _mount(records, tilted, folder, where)
    for record in records:
        record["x_m"], record["y_m"] = ground.to_xy(record["longitude_deg"], record["latitude_deg"])
    _house(records, buildings, where)
    site_of, first = _group(records)
    return _sites(records, site_of, first), _cells(records, site_of)


def write_cells(path: str | Path, city: City) -> None:
    """Write a city's cells as an inventory that `read_cells` reads back: every column of the schema.

    Positions are written to a millimetre. The file appears complete or not at all; antenna files are put beside it.
    """
    path, sites, cells = Path(path), city.sites, city.cells
    longitude_deg, latitude_deg = _Ground(city.frame).to_degrees(sites.x_m, sites.y_m)
    power_dbm = w_to_dbm(cells.max_power_w)
    files = write_antennas(path.parent, city)
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(field.name for field in CELL_FIELDS) + "\n")
        writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        for c in range(len(cells)):
            s = int(cells.site[c])
            values: dict[str, Any] = {
                "cell": cells.name[c],
                "latitude_deg": round(float(latitude_deg[s]), 8),
                "longitude_deg": round(float(longitude_deg[s]), 8),
                "site": sites.name[s],
                "azimuth_deg": float(cells.azimuth_deg[c]),
                "height_m": float(cells.height_m[c]),
                "power_dbm": round(float(power_dbm[c]), 9),
                "mechanical_tilt_deg": float(cells.mechanical_tilt_deg[c]),
                "electrical_tilt_deg": float(cells.electrical_tilt_deg[c]),
                "pattern": files.get(cells.pattern[c], cells.pattern[c]),
                "carrier_ghz": float(cells.carrier_hz[c]) / 1e9,
                "blocks": int(cells.blocks[c]),
                "block_khz": float(cells.block_hz[c]) / 1e3,
                "indoor": "true" if sites.indoor[s] else "false",
                "energy_class": cells.energy_class[c],
            }
            writer.writerow([values[field.name] for field in CELL_FIELDS])


# --- the map -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ground:
    """Between degrees and metres of the map."""

    frame: Frame

    @cached_property
    def _forward(self) -> Any:
        from pyproj import Transformer

        return Transformer.from_crs(4326, self.frame.epsg, always_xy=True)

    def to_xy(self, longitude_deg: float, latitude_deg: float) -> tuple[float, float]:
        easting_m, northing_m = self._forward.transform(longitude_deg, latitude_deg)
        return easting_m - self.frame.origin_easting_m, northing_m - self.frame.origin_northing_m

    def to_degrees(self, x_m: Any, y_m: Any) -> tuple[Any, Any]:
        longitude_deg, latitude_deg = self._forward.transform(
            np.asarray(x_m, dtype=np.float64) + self.frame.origin_easting_m,
            np.asarray(y_m, dtype=np.float64) + self.frame.origin_northing_m,
            direction="INVERSE",
        )
        return longitude_deg, latitude_deg

    def holds(self, longitude_deg: float, latitude_deg: float) -> bool:
        if not (-180 <= longitude_deg <= 180 and -90 <= latitude_deg <= 90):
            return False
        x_m, y_m = self.to_xy(longitude_deg, latitude_deg)
        on_x = -_MAP_EDGE_M <= x_m <= self.frame.width_m + _MAP_EDGE_M
        return bool(on_x and -_MAP_EDGE_M <= y_m <= self.frame.depth_m + _MAP_EDGE_M)

    def holds_swapped(self, latitude_deg: float, longitude_deg: float) -> bool:
        return self.holds(latitude_deg, longitude_deg)

    @property
    def box_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north of a box in degrees around the map."""
        side = np.linspace(0.0, 1.0, 9)
        around_x = np.concatenate((side, side, 0 * side, 0 * side + 1)) * self.frame.width_m
        around_y = np.concatenate((0 * side, 0 * side + 1, side, side)) * self.frame.depth_m
        longitude_deg, latitude_deg = self.to_degrees(around_x, around_y)
        return longitude_deg.min(), latitude_deg.min(), longitude_deg.max(), latitude_deg.max()

    def __str__(self) -> str:
        west, south, east, north = self.box_deg
        return f"latitude {south:.5f} to {north:.5f} and longitude {west:.5f} to {east:.5f} deg"


def _refuse_twins(records: Sequence[Record], where: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for record, at in zip(records, where, strict=True):
        name = record["cell"]
        if name in seen:
            raise InputError(
                "cell", f"'{name}' a second time", allowed="each name once",
                fix=f"rename one of the two; the first is in {seen[name].rsplit('/', 1)[-1]}", where=at,
            )  # fmt: skip
        seen[name] = at


def _on_map(records: Sequence[Record], ground: _Ground, source: str, where: Sequence[str]) -> list[int]:
    """Rows of the cells that lie on the map."""
    kept = []
    for k, record in enumerate(records):
        latitude_deg, longitude_deg = record["latitude_deg"], record["longitude_deg"]
        if ground.holds(longitude_deg, latitude_deg):
            kept.append(k)
        elif ground.holds_swapped(latitude_deg, longitude_deg):
            raise InputError(
                "position", f"latitude {latitude_deg:g}, longitude {longitude_deg:g}", allowed=str(ground),
                fix="latitude and longitude are swapped, exchange the two columns", where=where[k],
            )  # fmt: skip
    if not kept:
        first = (
            f"latitude {records[0]['latitude_deg']:g}, longitude {records[0]['longitude_deg']:g}" if records else "-"
        )
        raise InputError(
            "position of every cell", f"off the map (the first at {first})",
            allowed=str(ground), fix="choose the box of the map where the cells are", where=source,
        )  # fmt: skip
    if len(kept) < len(records):
        logger.warning(
            "%s: %d of %d cells are off the map and left out", source, len(records) - len(kept), len(records)
        )
    return kept


def _mount(records: Sequence[Record], tilted: Sequence[bool], folder: Path, where: Sequence[str]) -> None:
    """See that antenna files are there; their electrical tilt holds where the inventory gives none."""
    tables: dict[str, AntennaTable] = {}
    for record, has_tilt, at in zip(records, tilted, where, strict=True):
        name = record["pattern"]
        if name is None or not is_file(name):
            continue
        if name not in tables:
            tables[name] = read_antenna(name, folder, at)
            _tell_other_band(tables[name], record, at)
        if not has_tilt:
            record["electrical_tilt_deg"] = tables[name].electrical_tilt_deg


def _tell_other_band(table: AntennaTable, record: Record, at: str) -> None:
    measured_hz, carrier_hz = table.frequency_hz, record["carrier_ghz"] * 1e9
    if measured_hz is not None and not 0.7 <= measured_hz / carrier_hz <= 1.4:
        message = "%s: antenna %s was measured at %.4g MHz, the cell sends at %.4g MHz"
        logger.warning(message, at, table.name, measured_hz / 1e6, carrier_hz / 1e6)


def _house(records: Sequence[Record], buildings: Buildings, where: Sequence[str]) -> None:
    """Find each cell's building; fill in what depends on being indoors."""
    shapes = footprints(buildings)
    x_m, y_m = (np.array([record[axis] for record in records]) for axis in ("x_m", "y_m"))
    inside, near = building_at(shapes, x_m, y_m), building_at(shapes, x_m, y_m, within_m=_WALL_M + _MAP_EDGE_M)
    for k, (record, at) in enumerate(zip(records, where, strict=True)):
        indoor = record["indoor"]
        if indoor and near[k] < 0:
            raise InputError(
                "indoor", "true where there is no building", allowed=f"true within {_WALL_M:g} m of a building",
                fix="correct the position or set indoor to false", where=at,
            )  # fmt: skip
        record["building"] = int(near[k]) if indoor else -1
        _fill(record, float(buildings.height_m[inside[k]]) if inside[k] >= 0 else 0.0)


def _fill(record: Record, roof_m: float) -> None:
    """The defaults that depend on the cell, as the schema's meanings say."""
    indoor = record["indoor"]
    if record["height_m"] is None:
        record["height_m"] = 3.0 if indoor else max(25.0, roof_m + _ROOF_M if roof_m else 0.0)
    if record["power_dbm"] is None:
        record["power_dbm"] = 24.0 if indoor else 30.0
    if record["pattern"] is None:
        record["pattern"] = "omni" if indoor else "sector"
    if record["energy_class"] is None:
        record["energy_class"] = "pico" if indoor else "micro" if record["power_dbm"] <= _MICRO_DBM else "rrh"


def _group(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    """The site of each cell, and the first cell of each site.

    Cells share a site if they share its name (within 25 m) or, without a name, the place (within 1 m);
    and the building, for indoor ones.
    """
    site_of: list[int] = []
    first: list[int] = []
    at: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for k, record in enumerate(records):
        x_m, y_m, named = record["x_m"], record["y_m"], record["site"]
        reach_m = _ONE_SITE_M if named else _ONE_PLACE_M
        column, row = int(x_m // reach_m), int(y_m // reach_m)
        kind = (named, record["indoor"], record["building"])
        near = [s for i in (-1, 0, 1) for j in (-1, 0, 1) for s in at.get((*kind, column + i, row + j), ())]
        gaps = [(np.hypot(records[first[s]]["x_m"] - x_m, records[first[s]]["y_m"] - y_m), s) for s in near]
        gap_m, site = min(gaps, default=(np.inf, -1))
        if gap_m > reach_m:
            site = len(first)
            first.append(k)
            at[(*kind, column, row)].append(site)
        site_of.append(site)
    return site_of, first


def _sites(records: Sequence[Record], site_of: Sequence[int], first: Sequence[int]) -> Sites:
    x_m, y_m = (np.array([record[axis] for record in records]) for axis in ("x_m", "y_m"))
    number = np.bincount(site_of, minlength=len(first))
    return Sites(
        name=_site_names([records[k]["site"] for k in first]),
        x_m=np.bincount(site_of, weights=x_m) / number,
        y_m=np.bincount(site_of, weights=y_m) / number,
        indoor=np.array([records[k]["indoor"] for k in first], dtype=bool),
        building=np.array([records[k]["building"] for k in first], dtype=np.int32),
    )


def _site_names(wanted: Sequence[str | None]) -> tuple[str, ...]:
    """Unique names: a site name used at a second place becomes name/2, a missing one S001."""
    names: list[str] = []
    taken = {name for name in wanted if name}
    used: set[str] = set()
    for k, name in enumerate(wanted):
        plain = name or _SITE_FORMAT.format(k + 1)
        unique, n = plain, 1
        while unique in used or (unique != name and unique in taken):
            n += 1
            unique = f"{plain}/{n}"
        used.add(unique)
        names.append(unique)
    return tuple(names)


def _cells(records: Sequence[Record], site_of: Sequence[int]) -> Cells:
    def column(name: str) -> Any:
        return np.array([record[name] for record in records], dtype=np.float64)

    return Cells(
        name=tuple(record["cell"] for record in records),
        site=np.array(site_of, dtype=np.int32),
        height_m=column("height_m"),
        azimuth_deg=column("azimuth_deg"),
        mechanical_tilt_deg=column("mechanical_tilt_deg"),
        electrical_tilt_deg=column("electrical_tilt_deg"),
        pattern=tuple(record["pattern"] for record in records),
        carrier_hz=column("carrier_ghz") * 1e9,
        blocks=np.array([record["blocks"] for record in records], dtype=np.int32),
        block_hz=column("block_khz") * 1e3,
        max_power_w=dbm_to_w(column("power_dbm")),
        energy_class=tuple(record["energy_class"] for record in records),
    )


# --- OpenCellID ----------------------------------------------------------------------------------


def _from_opencellid(path: Path, frame: Frame, buildings: Buildings, radios: tuple[str, ...]) -> tuple[Sites, Cells]:
    """Estimated stations: cells of one eNodeB or gNB at their mean position, sectors spread evenly."""
    ground = _Ground(frame)
    rows, info = opencellid.read(path, radios=radios, box=ground.box_deg)
    best: dict[tuple[Any, ...], opencellid.Row] = {}
    for row in rows:  # a cell listed under two area codes counts once, with the better estimate
        key = (row.station, row.cell)
        if key not in best or row.samples > best[key].samples:
            best[key] = row
    stations: dict[tuple[Any, ...], list[opencellid.Row]] = defaultdict(list)
    for _, row in sorted(best.items(), key=lambda item: item[0]):
        stations[row.station].append(row)
    raw: list[Record] = []
    where: list[str] = []
    for (radio, mcc, net, _), members in stations.items():
        position = np.mean([(row.longitude_deg, row.latitude_deg) for row in members], axis=0)
        if not ground.holds(*position):
            continue
        for k, row in enumerate(members):
            raw.append(_estimate(row, k, len(members), position, f"{radio}-{mcc}-{net}"))
            where.append(f"{path} line {row.line}")
    if not raw:
        seen = ", ".join(f"{n} {radio}" for radio, n in sorted(info.read.items())) or "nothing"
        raise InputError(
            "cells", f"{seen}, none of them usable", allowed=f"{' or '.join(radios)} cells in {ground}",
            fix="take the file of this country, or other radios", where=str(path),
        )  # fmt: skip
    networks = sorted({f"{mcc}-{net}" for _, mcc, net, _ in stations})
    logger.info("%s: %d cells at estimated positions, networks %s taken as one", path, len(raw), ", ".join(networks))
    return cells_from_rows(raw, frame, buildings, source=str(path), where=where)


def _estimate(row: opencellid.Row, k: int, n: int, position: Any, network: str) -> Record:
    """What can be said of one OpenCellID cell, as a row of the schema."""
    area = "" if row.radio in ("LTE", "NR") else f"{row.area}-"
    return {
        "cell": f"{network}-{area}{row.cell}",
        "site": f"{network}-{row.station[3]}",
        "longitude_deg": float(position[0]),
        "latitude_deg": float(position[1]),
        "azimuth_deg": k * 360.0 / n,
        "pattern": "sector" if n > 1 else "omni",
    }
