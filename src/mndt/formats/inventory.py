"""Tables in text files: comma, semicolon or tab separated, as planners and spreadsheets save them."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from mndt.errors import InputError

_SEPARATORS = (";", "\t", ",", "|")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    line: int  # in the file, the header being line 1
    values: dict[str, str]  # by column, stripped; absent when the cell is empty


@dataclass(frozen=True)
class TableInfo:
    """What a table looked like."""

    path: Path
    columns: tuple[str, ...]  # as written in the header
    header_line: int
    separator: str
    encoding: str
    decimal_comma: bool  # numbers may be written 60,17


def read(path: str | Path) -> tuple[list[Row], TableInfo]:
    """Rows of a delimited text file with a header.

    Separator (comma, semicolon, tab or bar), encoding (UTF-8 with or without byte-order mark,
    UTF-16 with one, else Latin-1) and gzip compression are recognised. Empty lines and comments
    (lines that start with # and have one column only) are skipped. With any separator but the comma,
    numbers may have decimal commas.

    Raises:
        InputError: no such file, empty, header only, a column twice, a line of the wrong width, or a
            last line that breaks off.
    """
    path = Path(path)
    text, encoding = decode(load(path), path)
    lines = text.splitlines()
    header_at = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if header_at is None:
        raise InputError(
            "content", "empty", allowed="a header line and one line for each cell", fix="fill the file", where=str(path)
        )
    separator = max(_SEPARATORS, key=lambda mark: (lines[header_at].count(mark), -_SEPARATORS.index(mark)))
    columns = _columns(lines[header_at], separator, f"{path} line {header_at + 1}")
    rows = list(_rows(lines, header_at, separator, columns, path))
    _refuse_cut_off(text, separator, columns, path)
    if not rows:
        raise InputError(
            "content", "a header only", allowed="at least one line below it",
            fix="add a line for each cell", where=str(path),
        )  # fmt: skip
    return rows, TableInfo(path, columns, header_at + 1, separator, encoding, separator != ",")


def _refuse_cut_off(text: str, separator: str, columns: tuple[str, ...], path: Path) -> None:
    """A short last line without its line end is the mark of a file that was cut off in transfer."""
    if text.endswith(("\n", "\r")):
        return
    lines = text.splitlines()
    values = next(csv.reader([lines[-1]], delimiter=separator))
    if len(values) < len(columns) and len(lines) > 1:
        raise InputError(
            "number of values", len(values), allowed=f"{len(columns)} as in the header",
            fix="the file seems to be cut off, fetch it again", where=f"{path} line {len(lines)}",
        )  # fmt: skip


def load(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip.

    Raises:
        InputError: the file cannot be read, or the compressed data are cut off.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(
            "content", "a damaged gzip file", allowed="complete gzip data", fix="fetch the file again", where=str(path)
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("file", f"'{path}' ({reason})", allowed="a readable file", fix="check the path") from None


def decode(raw: bytes, path: Path) -> tuple[str, str]:
    """Text and the name of its encoding; anything that is not Unicode is taken for Latin-1."""
    encodings = ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text, encoding
    raise InputError("content", "binary data", allowed="text", fix="save the table as CSV", where=str(path))


def _columns(header: str, separator: str, where: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=separator)))
    seen: set[str] = set()
    for name in columns:
        if name and name.lower() in seen:
            raise InputError("column", f"'{name}' twice", allowed="each column once", fix="remove one", where=where)
        seen.add(name.lower())
    return columns


def _rows(lines: list[str], header_at: int, separator: str, columns: tuple[str, ...], path: Path) -> list[Row]:
    rows: list[Row] = []
    # the reader gets the text with its line ends, as a quoted value may hold a line break
    reader = csv.reader(io.StringIO("\n".join(lines[header_at + 1 :])), delimiter=separator)
    try:
        before = 0
        for values in reader:
            line, before = header_at + 2 + before, reader.line_num
            if not any(value.strip() for value in values) or _is_comment(values):
                continue
            if len(values) > len(columns) and any(value.strip() for value in values[len(columns) :]):
                raise InputError(
                    "number of values", len(values), allowed=f"{len(columns)} as in the header",
                    fix="quote values that contain the separator", where=f"{path} line {line}",
                )  # fmt: skip
            pairs = zip(columns, values, strict=False)
            rows.append(Row(line, {name: value.strip() for name, value in pairs if name and value.strip()}))
    except csv.Error as error:
        raise InputError(
            "line", str(error), allowed="delimited text", fix="save the table as CSV again", where=str(path)
        ) from None
    return rows


def _is_comment(values: list[str]) -> bool:
    """A line below the header with nothing but a text after #; a cell may well be called #7."""
    return values[0].startswith("#") and not any(value.strip() for value in values[1:])


def number(text: str, *, decimal_comma: bool) -> float:
    """A number as people write it.

    Raises:
        ValueError: not a number; NaN and infinity are none either.

    >>> number("60,17", decimal_comma=True)
    60.17
    """
    cleaned = text.strip().replace("\N{MINUS SIGN}", "-")
    if decimal_comma and cleaned.count(",") == 1 and "." not in cleaned:
        cleaned = cleaned.replace(",", ".")
    if "_" in cleaned:
        raise ValueError(text)
    value = float(cleaned)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value
