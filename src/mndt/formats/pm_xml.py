"""Performance measurement files of 3GPP TS 32.435, in which networks report their counters.

One file holds one granularity period: for each managed element the values of its objects, here
cells. The meaning of the fields is that of TS 32.432 clause 4, file names are those of its clause 5.
The reader, `read_pm_xml`, also takes files of TS 28.532 and what vendors make of both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from jaxtyping import Bool, Float

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.formats.pm_reader import PmInfo, read_pm_xml

__all__ = ["Element", "PmInfo", "dn_value", "file_name", "number", "read_pm_xml", "write_pm_xml"]

Array = np.ndarray

NAMESPACE: Final = "http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec"

_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # not in XML 1.0, 2.2


@dataclass(frozen=True)
class Element:
    """A managed element, such as a base station, and what its objects measured in one period."""

    dn: str  # distinguished name, such as ManagedElement=mast
    objects: Sequence[str]  # names within the element, such as GNBDUFunction=1,NRCellDU=mast-1
    values: Float[Array, "objects counters"]  # NaN = not measured
    suspect: Bool[Array, "objects"]  # measured in part of the period only, or not reliable


def write_pm_xml(
    path: Path,
    elements: Iterable[Element],
    counters: Sequence[str],
    begin: datetime,
    end: datetime,
    *,
    info: str = "NRCellDU",
    sender: str = "",
    vendor: str = "mndt",
) -> None:
    """Write the file of one granularity period; it appears whole or not at all.

    Args:
        path: the file.
        elements: what is reported.
        counters: names of the columns of `Element.values`.
        begin, end: of the period, with their time zones.
        info: name of the group of counters (measInfoId).
        sender: distinguished name of who wrote the file.
        vendor: name of the vendor.

    Raises:
        InputError: a name holds a character that XML cannot hold.

    Two cells of one station::

        mast = Element("ManagedElement=mast", ["NRCellDU=1", "NRCellDU=2"], values, np.zeros(2, bool))
        write_pm_xml(path, [mast], ["RRC.ConnMean"], begin, end)
    """
    lines = _lines(elements, counters, begin, end, info, sender, vendor)
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _lines(
    elements: Iterable[Element], counters: Sequence[str], begin: datetime, end: datetime,
    info: str, sender: str, vendor: str,
) -> Iterator[str]:  # fmt: skip
    duration, finish = f"PT{round((end - begin).total_seconds())}S", _attribute(end.isoformat())
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<measCollecFile xmlns="{NAMESPACE}">'
    yield f'<fileHeader fileFormatVersion="32.435 V10.0" vendorName={_attribute(vendor)}>'
    yield f"<fileSender localDn={_attribute(sender)}/>"
    yield f"<measCollec beginTime={_attribute(begin.isoformat())}/>"
    yield "</fileHeader>"
    for element in elements:
        yield "<measData>"
        yield f"<managedElement localDn={_attribute(element.dn)}/>"
        yield f"<measInfo measInfoId={_attribute(info)}>"
        yield f'<granPeriod duration="{duration}" endTime={finish}/>'
        yield f'<repPeriod duration="{duration}"/>'
        for p, name in enumerate(counters, start=1):
            yield f'<measType p="{p}">{_text(name)}</measType>'
        for name, values, suspect in zip(element.objects, element.values, element.suspect, strict=True):
            yield f"<measValue measObjLdn={_attribute(name)}>"
            yield from (f'<r p="{p}">{number(value)}</r>' for p, value in enumerate(values, start=1))
            if suspect:
                yield "<suspect>true</suspect>"
            yield "</measValue>"
        yield "</measInfo>"
        yield "</measData>"
    yield f"<fileFooter><measCollec endTime={finish}/></fileFooter>"
    yield "</measCollecFile>"


def number(value: float) -> str:
    """A value as the format wants it: a decimal without exponent; NIL where there is none.

    Whole numbers are exact up to 15 digits, others have 9 digits that count.

    >>> number(12.0), number(0.1 + 0.2), number(2.5e-10), number(float("nan"))
    ('12', '0.3', '0.00000000025', 'NIL')
    """
    if not math.isfinite(value):
        return "NIL"
    if value == round(value) and abs(value) < 1e15:
        return str(round(value))
    text = f"{value:.9g}"
    return np.format_float_positional(float(text), trim="-") if "e" in text else text


def dn_value(text: str) -> str:
    r"""A value within a distinguished name: what would end it is escaped (RFC 2253, section 2.4).

    >>> print(dn_value("east, 2nd floor"))
    east\, 2nd floor
    """
    text = re.sub(r'([\\,=+<>#;"])', r"\\\1", text)
    text = re.sub(r"^ | $", lambda _: r"\ ", text)
    return re.sub(r"[\r\n]", lambda end: f"\\{ord(end[0]):02X}", text)


def file_name(begin: datetime, end: datetime, *, elements: int, unique: str) -> str:
    """Name of the file of one period (TS 32.432 clause 5): type, begin, end, and who wrote it.

    Type A is a file of one managed element, B of several.

    >>> from datetime import timezone
    >>> begin, end = (datetime(2026, 1, 5, 8, m, tzinfo=timezone.utc) for m in (0, 15))
    >>> file_name(begin, end, elements=3, unique="centre")
    'B20260105.0800+0000-0815+0000_centre.xml'
    """
    kind = "A" if elements == 1 else "B"
    who = re.sub(r"[^\w.]+", "-", unique).strip("-") or "mndt"
    return f"{kind}{begin:%Y%m%d.%H%M%z}-{end:%H%M%z}_{who}.xml"


def _attribute(text: str) -> str:
    return quoteattr(_writable(text))


def _text(text: str) -> str:
    return escape(_writable(text))


def _writable(text: str) -> str:
    if found := _UNWRITABLE.search(text):
        raise InputError(
            "name", ascii(text), allowed=f"names without the character {found[0]!a}, which XML cannot hold",
            fix="rename it in the inventory",
        )  # fmt: skip
    return text
