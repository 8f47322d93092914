"""OpenCellID: cell positions estimated from phones' measurements, one CSV per country code.

Columns: radio, mcc, net, area, cell, unit, lon, lat, range, samples, changeable, created, updated,
averageSignal; with or without a header line, often gzip. Data are CC BY-SA 4.0 and name no site,
azimuth, height, power or carrier: a network built from them is an estimate.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from mndt.errors import InputError

COLUMNS: Final = (
    "radio", "mcc", "net", "area", "cell", "unit", "lon", "lat", "range", "samples", "changeable",
    "created", "updated", "averageSignal",
)  # fmt: skip
RADIOS: Final = ("GSM", "UMTS", "LTE", "NR", "CDMA")
ATTRIBUTION: Final = "Cell positions: OpenCellID Project, licensed under CC BY-SA 4.0"

_GNB_CELL_BITS = 12  # of the 36-bit NR cell identity: a gNB identity of 24 bits, the usual split


@dataclass(frozen=True)
class Row:
    """One cell. Latitude and longitude are estimates in degrees (WGS 84)."""

    line: int
    radio: str
    mcc: int
    net: int
    area: int
    cell: int
    longitude_deg: float
    latitude_deg: float
    samples: int

    @property
    def station(self) -> tuple[str, int, int, int]:
        """What the cell hangs on: radio, country, network and the number of its eNodeB or gNB.

        LTE: cell identity without its last 8 bits (TS 36.300 clause 8.2). NR: without its last 12.
        GSM, UMTS and CDMA number no station; there the last decimal digit is the sector by habit.

        >>> Row(1, "LTE", 244, 5, 1, 256 * 77 + 3, 24.9, 60.2, 9).station
        ('LTE', 244, 5, 77)
        """
        if self.radio == "LTE":
            return self.radio, self.mcc, self.net, self.cell >> 8
        if self.radio == "NR":
            return self.radio, self.mcc, self.net, self.cell >> _GNB_CELL_BITS
        return self.radio, self.mcc, self.net, self.area << 32 | self.cell // 10


@dataclass
class Info:
    """What was read and what was left out."""

    path: Path
    read: Counter[str] = field(default_factory=Counter)  # by radio
    kept: Counter[str] = field(default_factory=Counter)
    attribution: str = ATTRIBUTION


def is_opencellid(path: str | Path) -> bool:
    """Whether the file looks like OpenCellID data, from its first line. False if unreadable."""
    try:
        with closing(_open(Path(path))) as stream:
            first = stream.readline(2000).lstrip("\ufeff").strip().split(",")
    except (OSError, UnicodeDecodeError, EOFError, zlib.error):
        return False
    if [name.strip().lower() for name in first[:5]] == [name.lower() for name in COLUMNS[:5]]:
        return True
    return len(first) in (13, 14) and first[0] in RADIOS and first[1].isdigit()


def read(
    path: str | Path,
    *,
    radios: Iterable[str] = ("LTE", "NR"),
    box: tuple[float, float, float, float] | None = None,
) -> tuple[list[Row], Info]:
    """Cells of the wanted radios inside a box, streamed: a whole continent does not fill memory.

    Args:
        path: CSV file, plain or gzip.
        radios: names as in the first column.
        box: (west, south, east, north) in degrees.

    Raises:
        InputError: unreadable file, damaged gzip data, or a line that is no cell.
    """
    path, wanted, info, rows = Path(path), frozenset(radios), Info(Path(path)), []
    west, south, east, north = box or (-180.0, -90.0, 180.0, 90.0)
    for line, values in _lines(path):
        row = _row(line, values, path)
        info.read[row.radio] += 1
        inside = west <= row.longitude_deg <= east and south <= row.latitude_deg <= north
        if inside and row.radio in wanted:
            info.kept[row.radio] += 1
            rows.append(row)
    return rows, info


def _open(path: Path) -> IO[str]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    return io.TextIOWrapper(gzip.open(path, "rb") if packed else path.open("rb"), encoding="utf-8-sig", newline="")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines without the header and empty ones."""
    try:
        with closing(_open(path)) as stream:
            for line, values in enumerate(csv.reader(stream), start=1):
                if values and not (line == 1 and values[0].strip().lower() == "radio"):
                    yield line, values
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(
            "content", "a damaged gzip file", allowed="complete gzip data", fix="fetch the file again", where=str(path)
        ) from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(
            "content", "not text", allowed="OpenCellID CSV", fix="fetch the file again", where=str(path)
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("file", f"'{path}' ({reason})", allowed="a readable file", fix="check the path") from None


def _row(line: int, values: list[str], path: Path) -> Row:
    where = f"{path} line {line}"
    if len(values) < 8:
        raise InputError(
            "number of values", len(values), allowed=f"{len(COLUMNS)} ({', '.join(COLUMNS)})",
            fix="fetch the file again, it may be cut off", where=where,
        )  # fmt: skip
    radio = values[0].strip().upper()
    if radio not in RADIOS:
        raise InputError("radio", f"'{values[0]}'", allowed=", ".join(RADIOS), fix="correct the line", where=where)
    whole = [_number(values, k, where) for k in (1, 2, 3, 4)]
    longitude_deg, latitude_deg = _number(values, 6, where), _number(values, 7, where)
    samples = _number(values, 9, where) if len(values) > 9 and values[9].strip() else 0.0
    for name, value, limit in (("lon", longitude_deg, 180.0), ("lat", latitude_deg, 90.0)):
        if not -limit <= value <= limit:
            raise InputError(name, value, allowed=f"{-limit:g} to {limit:g} deg", fix="correct the line", where=where)
    mcc, net, area, cell = map(int, whole)
    return Row(line, radio, mcc, net, area, cell, longitude_deg, latitude_deg, int(samples))


def _number(values: list[str], column: int, where: str) -> float:
    try:
        value = float(values[column])
        if abs(value) < float("inf"):  # false for NaN, too
            return value
    except ValueError:
        pass
    raise InputError(COLUMNS[column], f"'{values[column]}'", allowed="a number", fix="correct the line", where=where)
