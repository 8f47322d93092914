"""Streaming SUMO's XML files, plain or gzip: one call for every element, errors with file and line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, NoReturn
from xml.parsers import expat

from mndt.errors import InputError

Attributes = dict[str, str]
Handler = Callable[["Element"], None]

_DEEPEST: Final = 50


class Element:
    """An element as it begins, and how to read its attributes."""

    def __init__(self, name: str, attributes: Attributes, parent: str, where: str) -> None:
        self.name, self.attributes, self.parent, self.where = name, attributes, parent, where

    def text(self, field: str, default: str | None = None) -> str:
        """An attribute as text."""
        value = self.attributes.get(field, default)
        if value is None:
            self.wrong(field, "missing", f"given for every {self.name}", "add the attribute")
        return value

    def number(self, field: str, default: float | None = None, *, least: float = -1e9, most: float = 1e9) -> float:
        """An attribute as a number within bounds."""
        text = self.text(field, None if default is None else repr(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            self.wrong(field, f"'{text}'", f"a number from {least:g} to {most:g}", "correct the file")
        return value

    def whole(self, field: str, default: int | None = None, *, least: int = -1, most: int = 10**9) -> int:
        """An attribute as a whole number within bounds."""
        value = self.number(field, None if default is None else float(default), least=least, most=most)
        if value != int(value):
            self.wrong(field, f"'{self.text(field)}'", "a whole number", "correct the file")
        return int(value)

    def flag(self, field: str, default: bool) -> bool:
        """An attribute as yes or no."""
        text = self.attributes.get(field)
        return default if text is None else text.lower() in ("1", "true", "yes", "x", "on")

    def words(self, field: str) -> tuple[str, ...]:
        """An attribute as a list of names; empty when it is not there."""
        return tuple(self.attributes.get(field, "").split())

    def shape(self, field: str = "shape") -> tuple[tuple[float, float], ...]:
        """An attribute as points (x, y) in metres; heights are dropped, and points that come twice in a row."""
        points: list[tuple[float, float]] = []
        try:
            for point in self.text(field).split():
                x, y, *_ = map(float, point.split(","))
                if not (abs(x) < 1e9 and abs(y) < 1e9):
                    raise ValueError
                points.append((x, y))
        except ValueError:
            self.wrong(field, f"'{self.text(field)[:40]}'", "pairs x,y with spaces between", "correct the file")
        kept = points[:1] + [b for a, b in pairwise(points) if a != b]
        return tuple(kept if len(kept) > 1 or len(points) < 2 else points[:2])

    def wrong(self, field: str, value: object, allowed: str, fix: str) -> NoReturn:
        """Say what does not fit in this element."""
        raise InputError(f"{field} of {self.name}", value, allowed=allowed, fix=fix, where=self.where)


def read_sumo_xml(
    path: Path, roots: tuple[str, ...], begin: Mapping[str, Handler], end: Mapping[str, Callable[[], None]]
) -> None:
    """Stream a file through handlers named by element.

    Args:
        path: an XML file, plain or gzip, whatever it is called.
        roots: what its outermost element may be called.
        begin: called with every such element as it begins.
        end: called as it ends.

    Raises:
        InputError: no such file, no XML, damaged, another root, or it declares entities.
    """
    parser, open_elements = expat.ParserCreate(), list[str]()

    def where() -> str:
        return f"{path} line {parser.CurrentLineNumber}"

    def start(name: str, attributes: Attributes) -> None:
        if not open_elements and name not in roots:
            allowed = " or ".join(f"<{root}>" for root in roots)
            raise InputError("outermost element", f"<{name}>", allowed=allowed, fix="give another file", where=where())
        if len(open_elements) > _DEEPEST:
            raise InputError("depth", len(open_elements), allowed=f"up to {_DEEPEST}", fix="check the file")
        if handler := begin.get(name):
            handler(Element(name, attributes, open_elements[-1] if open_elements else "", where()))
        open_elements.append(name)

    def finish(name: str) -> None:
        open_elements.pop()
        if handler := end.get(name):
            handler()

    def entity(name: str, *_: object) -> None:
        fix = "write the value itself"
        raise InputError("entity", f"'{name}'", allowed="no declared entities", fix=fix, where=where())

    parser.StartElementHandler, parser.EndElementHandler = start, finish
    parser.EntityDeclHandler = entity
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        what = f"'{expat.errors.messages[error.code]}'"
        raise InputError(
            "XML", what, allowed="well-formed XML", fix="check the file", where=f"{path} line {error.lineno}"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged gzip"
        raise InputError("file", f"'{path}' ({reason})", allowed="a readable file", fix="check the path") from None
