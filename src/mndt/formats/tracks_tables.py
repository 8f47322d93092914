"""Recorded positions in CSV and Parquet files, read batch by batch with Arrow."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.errors import InputError, unknown_name
from mndt.formats.tracks import MODE_WORDS, Chunks, Place, TrackTable, mode_of_word

Array = np.ndarray

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": ("time_s", "time", "timestamp", "t", "datetime", "date_time", "seconds", "second", "unix", "ts"),
    "user": ("user", "user_id", "id", "uid", "vehicle_id", "vehicle", "person", "person_id", "device", "device_id",
             "track", "track_id", "taxi_id", "agent", "agent_id", "imsi"),
    "lon": ("lon", "longitude", "lng", "long", "lon_deg"),
    "lat": ("lat", "latitude", "lat_deg"),
    "x": ("x_m", "x"),
    "y": ("y_m", "y"),
    "mode": ("mode", "transport", "transport_mode", "travel_mode"),
}  # fmt: skip
_EMPTY: Final = ["", "nan", "NaN", "NA", "N/A", "null", "NULL", "None"]
_BATCH_BYTES: Final = 8 << 20


def read_csv(path: Path, place: Place) -> TrackTable:
    """A text file with a header; separator and decimal comma are recognised.

    Raises:
        InputError: a column is missing, or a line is no record; names the line.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    header, first, separator = _head(path)
    found = _columns(header, path)
    comma = separator != "," and any(re.fullmatch(r"-?\d+,\d+", first.get(found[c], "")) for c in ("lon", "lat", "x", "y") if c in found)  # fmt: skip # noqa: E501
    numeric = _is_number(first.get(found["time"], "0").replace(",", "."))
    types = {column: pa.float64() for name, column in found.items() if name not in ("user", "mode", "time")}
    types |= {found[name]: pa.string() for name in ("user", "mode") if name in found}
    types[found["time"]] = pa.float64() if numeric else pa.string()
    try:
        with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as stream:
            reader = pacsv.open_csv(
                stream,
                pacsv.ReadOptions(column_names=header, skip_rows=1, block_size=_BATCH_BYTES),
                pacsv.ParseOptions(delimiter=separator),
                pacsv.ConvertOptions(
                    column_types=types, include_columns=list(found.values()), null_values=_EMPTY,
                    strings_can_be_null=True, decimal_point="," if comma else ".",
                ),
            )  # fmt: skip
            return _gather(reader, found, place, path)
    except (pa.ArrowInvalid, _BadValueError) as error:
        raise _first_fault(path, header, found, separator, numeric, comma, error) from None
    except (OSError, EOFError) as error:
        raise _unreadable(path, error) from None


def read_parquet(path: Path, place: Place) -> TrackTable:
    """A Parquet file; times may be numbers, timestamps or texts.

    Raises:
        InputError: no Parquet, a column is missing, or a value is no number or time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        found = _columns(file.schema_arrow.names, path)
        return _gather(file.iter_batches(500_000, columns=list(found.values())), found, place, path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, _BadValueError) as error:
        what = f"'{str(error).splitlines()[0][:80]}'"
        raise InputError(
            "tracks", what, allowed="a Parquet file of times, ids and positions", fix="check the columns",
            where=str(path),
        ) from None  # fmt: skip
    except OSError as error:
        raise _unreadable(path, error) from None


class _BadValueError(Exception):
    """A value that is none of its column."""


def _gather(batches: Iterable[Any], found: Mapping[str, str], place: Place, path: Path) -> TrackTable:
    """Arrow's batches as columns."""
    chunks, system = Chunks(), "degrees" if "lon" in found else "metres"
    pair = ("lon", "lat") if system == "degrees" else ("x", "y")
    times: set[str] = set()
    zone_s: float | None = None
    for batch in batches:
        column = {name: batch.column(batch.schema.get_field_index(at)) for name, at in found.items()}
        time_s, kind, zone_s = _seconds(column["time"], zone_s)
        times.add(kind)
        x, y = (_numbers(column[name]) for name in pair)
        placed = np.isfinite(x) & np.isfinite(y)
        if (np.isinf(x) | np.isinf(y) | np.isinf(time_s)).any() or (
            system == "degrees" and (np.abs(x[placed]).max(initial=0) > 180 or np.abs(y[placed]).max(initial=0) > 90)
        ):
            raise _BadValueError("a position out of range")
        x_m, y_m = np.full((2, len(x)), np.nan)
        x_m[placed], y_m[placed] = place(x[placed], y[placed], system)
        mode = _modes(column["mode"], path) if "mode" in column else -1
        chunks.add(_codes(column["user"], chunks.row_of), time_s, x_m, y_m, mode)
    if len(times) > 1:
        raise _BadValueError("times of several kinds")
    table = chunks.table(_note(times, zone_s))
    return TrackTable(**{**vars(table), "time_s": _from_midnight(table.time_s, times, zone_s or 0.0)})


def _seconds(values: Any, zone_s: float | None) -> tuple[Array, str, float | None]:
    """Seconds, since any midnight or since 1970; their kind; the offset of the first time zone written."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type):
        return _numbers(values.cast(pa.timestamp("us")).cast(pa.int64())) / 1e6, "date", zone_s
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return _numbers(values), "number", zone_s
    texts = pc.utf8_trim_whitespace(values)
    sample = next((text for text in texts.to_pylist() if text), "")
    if re.fullmatch(r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?", sample):
        clock = pc.cast(pc.binary_join_element_wise("1970-01-01", texts, " "), pa.timestamp("us"))
        return _numbers(clock.cast(pa.int64())) / 1e6, "clock", zone_s
    zone = re.search(r"(Z|[+-]\d{2}:?\d{2})$", sample)
    if zone is None:
        return _numbers(pc.cast(texts, pa.timestamp("us")).cast(pa.int64())) / 1e6, "date", zone_s
    if zone_s is None:
        digits = zone[1].replace(":", "")
        zone_s = 0.0 if digits == "Z" else float(digits[0] + "1") * (3600 * int(digits[1:3]) + 60 * int(digits[3:5]))
    return _numbers(pc.cast(texts, pa.timestamp("us", tz="UTC")).cast(pa.int64())) / 1e6, "zoned", zone_s


def _from_midnight(time_s: Array, kinds: set[str], zone_s: float) -> Array:
    """Seconds since midnight of the first day, on the clock of the first zone written."""
    from mndt.formats.tracks import since_midnight

    kind = next(iter(kinds), "number")
    if kind != "number":
        return since_midnight(time_s + zone_s, epoch=kind != "clock")
    scale = next((s for limit, s in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3)) if time_s.max(initial=0.0) > limit), 1.0)
    return since_midnight(time_s * scale, epoch=bool(time_s.min(initial=np.inf) * scale > 1e8))


def _note(kinds: set[str], zone_s: float | None) -> list[str]:
    return (
        [f"times on the clock of the first record's zone, UTC{(zone_s or 0) / 3600:+g} h"] if "zoned" in kinds else []
    )


def _numbers(values: Any) -> Array:
    """Floats, NaN where nothing is."""
    import pyarrow as pa

    if not pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(values: Any, row_of: dict[str, int]) -> Array:
    """Rows of ids; -1 without one."""
    import pyarrow as pa

    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    labels = ["" if label is None else str(label).strip() for label in coded.dictionary.to_pylist()]
    rows = np.array([row_of.setdefault(label, len(row_of)) if label else -1 for label in labels] + [-1], np.int32)
    at = coded.indices.fill_null(len(labels)).to_numpy(zero_copy_only=False)
    return np.asarray(rows[at])


def _modes(values: Any, path: Path) -> Array:
    """Numbers of modes; -1 where nothing is said."""
    import pyarrow as pa

    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    numbers = []
    for word in coded.dictionary.to_pylist():
        number = mode_of_word(str(word)) if word is not None and str(word).strip() else -1
        if number is None:
            raise unknown_name("mode", str(word), [w for words in MODE_WORDS.values() for w in words], where=str(path))
        numbers.append(number)
    at = coded.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
    return np.asarray(np.array([*numbers, -1], np.int8)[at])


# What does not fit -----------------------------------------------------------------------------


def _head(path: Path) -> tuple[list[str], dict[str, str], str]:
    """The names of the columns, the first record, and what separates its values."""
    lines = _lines(path)
    head = next(lines, "")
    separator = max((",", ";", "\t", "|"), key=head.count)
    header = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
    row = next((line for line in lines if line.strip()), "")
    return header, dict(zip(header, next(csv.reader([row], delimiter=separator), []), strict=False)), separator


def _lines(path: Path) -> Iterator[str]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="")
        ) as file:
            yield from file
    except UnicodeDecodeError:
        raise InputError("tracks", path, allowed="a CSV file in UTF-8", fix="save it as UTF-8") from None
    except (OSError, EOFError) as error:
        raise _unreadable(path, error) from None


def _columns(header: Iterable[str], path: Path) -> dict[str, str]:
    """The columns of a file by what they mean."""
    known = {name.strip().lower(): name for name in reversed(list(header))}
    found = {m: known[n] for m, names in _NAMES.items() for n in reversed(names) if n in known}
    pairs = (("lon", "lat"), ("x", "y"))
    pair = next((p for p in pairs if p[0] in found and p[1] in found), None)
    for name in ("time", "user"):
        if name not in found:
            raise _missing(_NAMES[name][0], known, path)
    if pair is None:
        half = next((p[1 - k] for p in pairs for k in (0, 1) if p[k] in found), "lon")
        raise _missing(_NAMES[half][0], known, path)
    return {name: column for name, column in found.items() if name in ("time", "user", "mode", *pair)}


def _missing(name: str, known: Mapping[str, str], path: Path) -> InputError:
    what = f"missing (found {', '.join(known.values()) or 'nothing'})"
    allowed = "time_s, user, and lon and lat or x_m and y_m; optionally mode"
    return InputError(f"column {name}", what, allowed=allowed, fix="add it", where=str(path))


def _first_fault(
    path: Path, header: list[str], found: Mapping[str, str], separator: str, numeric: bool, comma: bool,
    error: Exception,
) -> InputError:  # fmt: skip
    """The sentence for the first line that is no record: the file once more, slowly."""
    at = {name: header.index(column) for name, column in found.items()}
    limits = {"lon": 180.0, "lat": 90.0}
    rows = csv.reader(chain([""], _lines(path)), delimiter=separator)
    for line, row in enumerate(rows):
        if line < 2 or not row:
            continue
        where = f"{path.name} line {line}"
        if len(row) != len(header):
            return InputError(
                "columns", len(row), allowed=f"{len(header)} as in the header", fix="complete the line", where=where
            )
        for name in ("time", "lon", "lat", "x", "y"):
            if name not in at or (name == "time" and not numeric):
                continue
            text = row[at[name]].strip()
            number = text.replace(",", ".") if comma else text
            limit = limits.get(name)
            if text in _EMPTY or (_is_number(number) and abs(float(number)) <= (limit or np.finfo(float).max)):
                continue
            allowed = "a finite number" if limit is None else f"a number from {-limit:g} to {limit:g}"
            return InputError(found[name], f"'{text}'", allowed=allowed, fix="correct the line", where=where)
    what = f"'{str(error).splitlines()[0][:90]}'"
    return InputError(
        "tracks", what, allowed="times, ids and positions, the same way in every line", fix="correct the file",
        where=str(path),
    )  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or "damaged"
    return InputError("tracks", f"{path} ({reason})", allowed="a readable file", fix="check the path")
