"""The measured antennas of an inventory: files beside it that its column `pattern` names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mndt.city.model import AntennaTable, Cells, City
from mndt.city.schema import PATTERN_FILES, PATTERNS
from mndt.errors import InputError
from mndt.formats import msi


def is_file(pattern: str) -> bool:
    """Whether a cell's pattern is the name of an antenna file.

    >>> is_file("k742215.MSI"), is_file("panel")
    (True, False)
    """
    return pattern.lower().endswith(PATTERN_FILES)


def read_antenna(name: str, folder: Path, where: str = "") -> AntennaTable:
    """The antenna file that an inventory in `folder` calls `name`.

    Raises:
        InputError: there is no such file, or it does not hold a pattern.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(
            "pattern", f"'{name}'", allowed=f"{', '.join(PATTERNS)} or an antenna file beside the inventory",
            fix=f"put the file to {path}", where=where,
        )  # fmt: skip
    cuts, info = msi.read(path)
    return AntennaTable(
        name, cuts.gain_dbi, cuts.horizontal_db, cuts.vertical_db, info.frequency_hz, info.electrical_tilt_deg
    )


def antennas_of(cells: Cells, inventory: str | Path) -> tuple[AntennaTable, ...]:
    """The antennas that cells read from an inventory name, each once.

    Raises:
        InputError: as `read_antenna`.
    """
    return _each_once(cells.pattern, Path(inventory).parent)


def _each_once(patterns: Iterable[str], folder: Path) -> tuple[AntennaTable, ...]:
    return tuple(read_antenna(name, folder) for name in dict.fromkeys(patterns) if is_file(name))


def write_antennas(folder: Path, city: City) -> dict[str, str]:
    """Write a city's antennas to a folder; gives the file of each. Equal names of several folders are numbered."""
    files: dict[str, str] = {}
    for table in city.antennas:
        name = Path(table.name)
        file, n = name.name, 1
        while file.lower() in {taken.lower() for taken in files.values()}:
            n += 1
            file = f"{name.stem}-{n}{name.suffix}"
        files[table.name] = file
        cuts = msi.Cuts(table.horizontal_db, table.vertical_db, table.gain_dbi)
        msi.write(
            folder / file, cuts, name.stem,
            frequency_hz=table.frequency_hz, electrical_tilt_deg=table.electrical_tilt_deg,
        )  # fmt: skip
    return files


def with_pattern(city: City, cell: int, pattern: str) -> City:
    """The city with another antenna at one cell: a pattern's name, one of its tables, or an antenna file.

    Raises:
        InputError: neither of them.
    """
    names = list(city.cells.pattern)
    names[cell] = pattern
    tables = city.antennas
    if is_file(pattern) and pattern not in {table.name for table in tables}:
        tables = (*tables, read_antenna(pattern, Path()))
    elif pattern not in PATTERNS and not is_file(pattern):
        from mndt.errors import unknown_name

        raise unknown_name("pattern", pattern, [*PATTERNS, *(table.name for table in tables), "FILE.msi"])
    return replace(city, cells=replace(city.cells, pattern=tuple(names)), antennas=tables)
