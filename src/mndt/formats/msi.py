"""Antenna patterns in Planet's format (.msi, .pln, .prn): two cuts of attenuation, as makers publish them.

A text of keys and values, then ``HORIZONTAL 360`` with a line "degree attenuation" for each degree clockwise
from boresight, and ``VERTICAL 360`` from the horizon in front downwards. A gain without a unit is in dBd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.formats.inventory import decode, load

Array = np.ndarray

SUFFIXES: Final = (".msi", ".pln", ".prn")
DIPOLE_DBI: Final = 2.15
"""Gain of a half-wave dipole: what dBd is measured against."""

_WIDEST_GAP_DEG: Final = 10.0  # between two angles of a cut; finer cuts are read at whole degrees
_LARGEST_DB: Final = 200.0
_BELOW_ZERO_DB: Final = -0.5  # noise of a measurement, read as 0
_KEYS: Final = (
    *("NAME", "MAKE", "FREQUENCY", "H_WIDTH", "V_WIDTH", "FRONT_TO_BACK", "GAIN", "TILT", "POLARIZATION"),
    *("COMMENT", "ELECTRICAL_TILT", "HORIZONTAL", "VERTICAL"),
)
_UNITS_HZ: Final = {"": 1e6, "MHZ": 1e6, "GHZ": 1e9, "KHZ": 1e3, "HZ": 1.0}
_NUMBER: Final = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Cuts:
    """Positive attenuations in dB below the largest gain, one for each whole degree."""

    horizontal_db: Float64[Array, "360"]  # clockwise from boresight
    vertical_db: Float64[Array, "360"]  # from the horizon in front: 90 is straight down
    gain_dbi: float


@dataclass(frozen=True)
class MsiInfo:
    """What the file says besides."""

    path: Path
    name: str
    make: str
    frequency_hz: float | None
    electrical_tilt_deg: float  # downwards positive
    tilt_from: str  # "file", or "beam": the file gives no number, so the strongest direction of the vertical cut
    others: dict[str, str] = field(default_factory=dict)  # every other key, as written


def read(path: str | Path) -> tuple[Cuts, MsiInfo]:
    """An antenna's cuts and what the file says about it.

    Cuts may be finer or coarser than a degree and run from 0 or from -180; attenuations may be written as
    negative gains. Words are read in any case.

    Raises:
        InputError: no such file, no gain, a cut that is missing, has gaps or holds something else than numbers.
    """
    path = Path(path)
    text, _ = decode(load(path), path)
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError("antenna file", "empty", allowed="a pattern", fix="fetch it again", where=str(path))
    keys, cuts = _parts(lines, path)
    for name in ("HORIZONTAL", "VERTICAL"):
        if name not in cuts:
            _refuse(path, name, "missing", f"{name} 360 and a line for each degree", "is it an antenna file?")
    horizontal_db, vertical_db = (_cut(name, cuts[name], path) for name in ("HORIZONTAL", "VERTICAL"))
    tilt_deg = _tilt_deg(keys, path)
    front_deg = np.arange(-90, 91)
    beam_deg = float(front_deg[vertical_db[front_deg].argmin()])
    info = MsiInfo(
        path=path,
        name=keys.pop("NAME", path.stem),
        make=keys.pop("MAKE", ""),
        frequency_hz=_frequency_hz(keys.pop("FREQUENCY", ""), path),
        electrical_tilt_deg=beam_deg if tilt_deg is None else tilt_deg,
        tilt_from="beam" if tilt_deg is None else "file",
        others={name: value for name, value in keys.items() if name != "GAIN"},
    )
    return Cuts(horizontal_db, vertical_db, _gain_dbi(keys.get("GAIN", ""), path)), info


def write(path: str | Path, cuts: Cuts, name: str, *, frequency_hz: float | None, electrical_tilt_deg: float) -> None:
    """Write a file that `read` gives back: gain in dBi, attenuations to a thousandth of a dB."""
    lines = [f"NAME {name}"]
    if frequency_hz is not None:
        lines.append(f"FREQUENCY {frequency_hz / 1e6:.6g}")
    lines += [f"GAIN {cuts.gain_dbi:.6g} dBi", f"TILT {electrical_tilt_deg:.6g}"]
    for title, cut in (("HORIZONTAL", cuts.horizontal_db), ("VERTICAL", cuts.vertical_db)):
        lines += [f"{title} 360", *(f"{degree} {value:.3f}" for degree, value in enumerate(cut))]
    with whole_file(Path(path)) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _refuse(path: Path, what: str, value: object, allowed: str, fix: str, line: int | None = None) -> NoReturn:
    raise InputError(what, value, allowed=allowed, fix=fix, where=f"{path}{f' line {line}' if line else ''}")


def _parts(
    lines: list[tuple[int, list[str]]], path: Path
) -> tuple[dict[str, str], dict[str, list[tuple[float, float]]]]:
    """Keys with their texts, and the numbers of each cut."""
    keys: dict[str, str] = {}
    cuts: dict[str, list[tuple[float, float]]] = {}
    first = lines[0][1]
    if first[0].upper() not in _KEYS:  # some makers begin with the bare name
        keys["NAME"] = " ".join(first)
        lines = lines[1:]
    rest = iter(lines)
    for number, (word, *words) in rest:
        key = word.upper()
        if key in ("HORIZONTAL", "VERTICAL"):
            if not words or not words[0].isdecimal():
                _refuse(path, key, " ".join(words) or "no number", "the number of lines that follow", "add it", number)
            cuts[key] = list(_numbers(rest, int(words[0]), key, path))
        elif not key[0].isdigit() and key[0] not in "+-":
            keys.setdefault(key, " ".join(words))
        else:
            _refuse(path, "line", f"'{' '.join((word, *words))}'", "a key and its value", "correct the line", number)
    return keys, cuts


def _numbers(rest: Iterator[tuple[int, list[str]]], count: int, key: str, path: Path) -> Iterator[tuple[float, float]]:
    for k in range(count):
        number, words = next(rest, (None, ["nothing"]))
        try:
            degree, value = (float(word.replace(",", ".")) for word in words)
        except ValueError:
            at = f"line {k + 1} of {count} of {key}"
            _refuse(path, at, f"'{' '.join(words)}'", "an angle and an attenuation", "is the file cut off?", number)
        yield degree, value


def _cut(key: str, pairs: list[tuple[float, float]], path: Path) -> Array:
    """Attenuations at whole degrees."""
    values = np.array(pairs, float).reshape(-1, 2)
    if not np.isfinite(values).all() or np.abs(values[:, 1]).max(initial=0.0) > _LARGEST_DB:
        _refuse(path, key, "out of range", f"finite attenuations up to {_LARGEST_DB:g} dB", "correct the values")
    angle_deg, which = np.unique(values[:, 0] % 360.0, return_index=True)
    attenuation_db = values[which, 1]
    gaps_deg = np.diff(angle_deg, append=angle_deg[:1] + 360.0)
    if not len(gaps_deg) or gaps_deg.max() > _WIDEST_GAP_DEG:
        found = f"{len(angle_deg)} angles"
        _refuse(path, key, found, f"all around, at least every {_WIDEST_GAP_DEG:g} degrees", "is the file cut off?")
    if attenuation_db.min() < _BELOW_ZERO_DB:
        if attenuation_db.max() > -_BELOW_ZERO_DB:
            allowed = "attenuations from 0 dB upwards, or gains from 0 dB downwards"
            _refuse(path, key, "both above and below 0 dB", allowed, "give them relative to the largest gain")
        attenuation_db = -attenuation_db
    whole = np.interp(np.arange(360.0), angle_deg, np.maximum(attenuation_db, 0.0), period=360.0)
    return np.asarray(whole)


def _gain_dbi(text: str, path: Path) -> float:
    """A gain with its unit; dBd when there is none.

    >>> _gain_dbi("15,5 dBd", Path("x")), _gain_dbi("17.5dBi", Path("x"))
    (17.65, 17.5)
    """
    found = _NUMBER.match(text)
    unit = text[found.end() :].strip().strip("()[]").upper() if found else ""
    if not found or unit not in ("", "DBD", "DBI"):
        _refuse(path, "GAIN", f"'{text}'" if text else "missing", "a number in dBd or dBi", "write it as 15.5 dBd")
    value = float(found[0].replace(",", "."))
    if not -50.0 <= value <= 80.0:
        _refuse(path, "GAIN", f"{value:g}", "-50 to 80 dB", "correct the value")
    return round(value + (0.0 if unit == "DBI" else DIPOLE_DBI), 6)


def _frequency_hz(text: str, path: Path) -> float | None:
    """A frequency, MHz when no unit is written; the middle of a band.

    >>> _frequency_hz("1710-2170 MHz", Path("x")), _frequency_hz("3.5 GHz", Path("x"))
    (1940000000.0, 3500000000.0)
    """
    numbers = [float(number.replace(",", ".")) for number in re.findall(r"\d+(?:[.,]\d+)?", text)]
    if not numbers:
        return None
    unit = re.search(r"[KMG]?HZ", text.upper())
    value_hz = float(np.mean(numbers[:2])) * _UNITS_HZ[unit[0] if unit else ""]
    if not 1e6 <= value_hz <= 1e12:
        _refuse(path, "FREQUENCY", f"'{text}'", "a frequency in MHz", "write it as 2100")
    return value_hz


def _tilt_deg(keys: dict[str, str], path: Path) -> float | None:
    """The electrical tilt, if any key gives it as a number: TILT may just say ELECTRICAL."""
    for name in ("ELECTRICAL_TILT", "TILT"):
        found = _NUMBER.search(keys.pop(name, "")) if name in keys else None
        if found:
            value = float(found[0].replace(",", "."))
            if not -90.0 <= value <= 90.0:
                _refuse(path, name, f"{value:g}", "-90 to 90 degrees", "correct the value")
            return value
    return None
