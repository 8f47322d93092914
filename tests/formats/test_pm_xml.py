"""Measurement files: what we write comes back, what others write is read, what is broken is said."""

from __future__ import annotations

import gzip
import string
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.formats.pm_xml import Element, dn_value, file_name, number, read_pm_xml, write_pm_xml

BEGIN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
END = BEGIN + timedelta(minutes=15)


def test_two_stations_come_back(tmp_path: Path) -> None:
    mast = Element(
        "ManagedElement=mast",
        ["GNBDUFunction=1,NRCellDU=1", "GNBDUFunction=1,NRCellDU=2"],
        np.array([[1.5, np.nan], [0.0, 1e-7]]),
        np.array([False, True]),
    )
    lobby = Element("ManagedElement=lobby", ["GNBDUFunction=1,NRCellDU=1"], np.array([[3.0, 12.0]]), np.array([False]))
    write_pm_xml(tmp_path / "a.xml", [mast, lobby], ["DRB.UEThpDl", "PEE.Energy"], BEGIN, END, vendor="A & B")
    table, info = read_pm_xml(tmp_path / "a.xml")
    assert table["object"].tolist() == [
        "ManagedElement=mast,GNBDUFunction=1,NRCellDU=1",
        "ManagedElement=mast,GNBDUFunction=1,NRCellDU=2",
        "ManagedElement=lobby,GNBDUFunction=1,NRCellDU=1",
    ]
    assert table["managed_element"].tolist() == ["ManagedElement=mast"] * 2 + ["ManagedElement=lobby"]
    assert table["name"].tolist() == ["1", "2", "1"]
    assert table["suspect"].tolist() == [False, True, False]
    assert set(table["end_s"]) == {int(END.timestamp())}
    assert set(table["duration_s"]) == {900.0}
    np.testing.assert_array_equal(table["DRB.UEThpDl"], [1.5, 0, 3])
    np.testing.assert_array_equal(table["PEE.Energy"], [np.nan, 1e-7, 12])
    assert (info.missing, info.repeated, info.suspect, info.problems) == (1, 0, 1, [])
    assert info.vendors == {"A & B": 1}
    assert info.counters == ["DRB.UEThpDl", "PEE.Energy"]


def test_the_file_is_laid_out_as_the_standard_says(tmp_path: Path) -> None:
    """Element names, order and namespace of TS 32.435, read by another parser."""
    cell = Element("ManagedElement=m", ["NRCellDU=1"], np.array([[7.0]]), np.array([True]))
    write_pm_xml(tmp_path / "a.xml", [cell], ["RRC.ConnMax"], BEGIN, END, sender="ManagementNode=x")
    space = "{http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec}"
    root = ET.parse(tmp_path / "a.xml").getroot()

    def names(element: ET.Element) -> list[str]:
        return [child.tag.removeprefix(space) for child in element]

    assert root.tag == f"{space}measCollecFile"
    assert names(root) == ["fileHeader", "measData", "fileFooter"]
    assert names(root[0]) == ["fileSender", "measCollec"]
    assert root[0][1].attrib == {"beginTime": "2026-01-05T08:00:00+00:00"}
    assert names(root[1]) == ["managedElement", "measInfo"]
    assert names(root[1][1]) == ["granPeriod", "repPeriod", "measType", "measValue"]
    assert root[1][1][0].attrib == {"duration": "PT900S", "endTime": "2026-01-05T08:15:00+00:00"}
    assert names(root[1][1][3]) == ["r", "suspect"]
    assert root[2][0].attrib == {"endTime": "2026-01-05T08:15:00+00:00"}


WRITABLE = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"))
COUNTERS = st.lists(st.text(string.ascii_letters + string.digits + "._<&", min_size=1), min_size=1, unique=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), names=st.lists(WRITABLE, min_size=1, unique=True), site=WRITABLE, counters=COUNTERS)
def test_whatever_is_written_comes_back_to_the_printed_digits(
    data: st.DataObject, names: list[str], site: str, counters: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    reals = st.floats() | st.integers(-(10**14), 10**14).map(float)
    values = np.array([[data.draw(reals) for _ in counters] for _ in names])
    suspect = np.array([data.draw(st.booleans()) for _ in names])
    path = tmp_path_factory.mktemp("pm") / "a.xml"
    station = Element(f"ManagedElement={dn_value(site)}", [f"NRCellDU={dn_value(n)}" for n in names], values, suspect)
    write_pm_xml(path, [station], counters, BEGIN, END)
    table, _ = read_pm_xml(path)
    assert table["name"].tolist() == names
    assert table["suspect"].tolist() == suspect.tolist()
    for column, counter in enumerate(counters):
        printed = [float(number(v).replace("NIL", "nan")) for v in values[:, column]]
        np.testing.assert_array_equal(table[counter], printed)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(value=1e-300)
@example(value=1e22)
@example(value=123456789.5)
def test_numbers_are_decimals_of_nine_digits(value: float) -> None:
    text = number(value)
    assert set(text) <= set("-.0123456789")
    assert float(text) == pytest.approx(value, rel=5e-9)
    assert number(float(text)) == text


@pytest.mark.parametrize("name", ["east\n2", "a\tb", "q\"uo'te", " both ends ", "x\\,y", "a=b,c=d", "\\", "\r\n"])
def test_odd_names_survive(tmp_path: Path, name: str) -> None:
    one = Element("", [f"NRCellDU={dn_value(name)}"], np.ones((1, 1)), np.array([False]))
    write_pm_xml(tmp_path / "a.xml", [one], ["C"], BEGIN, END)
    table, _ = read_pm_xml(tmp_path / "a.xml")
    assert table["name"].tolist() == [name]


def test_what_xml_cannot_hold_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    one = Element("ManagedElement=m", ["NRCellDU=a\x00b"], np.ones((1, 1)), np.array([False]))
    with pytest.raises(InputError, match=r"character '\\x00', which XML cannot hold"):
        write_pm_xml(tmp_path / "a.xml", [one], ["C"], BEGIN, END)
    assert list(tmp_path.iterdir()) == []


def test_file_names_tell_who_when_and_how_many() -> None:
    helsinki = timezone(timedelta(hours=2))
    begin = datetime(2026, 11, 22, 23, 45, tzinfo=helsinki)
    name = file_name(begin, begin + timedelta(minutes=15), elements=1, unique="_my city!_")
    assert name == "A20261122.2345+0200-0000+0200__my-city-_.xml"


# Files of others ---------------------------------------------------------------------------------

HEAD = '<measCollecFile><fileHeader vendorName="V"/><measData><managedElement localDn="ME=1"/>'
PERIOD = '<measInfo><granPeriod duration="PT900S" endTime="2026-01-05T08:15:00Z"/>'
TYPES = '<measType p="1">A</measType><measType p="2">B</measType>'
TAIL = "</measInfo></measData></measCollecFile>"


def read_text(folder: Path, text: str, **options: bool) -> tuple[dict[str, np.ndarray], object]:
    (folder / "v.xml").write_text(text, encoding="utf-8")
    return read_pm_xml(folder / "v.xml", **options)


def values_of(table: dict[str, np.ndarray]) -> dict[str, list[float]]:
    known = ("end_s", "duration_s", "managed_element", "object", "name", "suspect")
    return {name: column.tolist() for name, column in table.items() if name not in known}


@pytest.mark.parametrize(
    "body",
    [
        TYPES + '<measValue measObjLdn="C=1"><r p="2">2</r><r p="1">1</r></measValue>',
        '<measTypes>A B</measTypes><measValue measObjLdn="C=1"><measResults>1 2</measResults></measValue>',
        '<measTypes> A\n B </measTypes><measValue measObjLdn="C=1"><r p="1"> 1 </r><r p="2">2.0</r></measValue>',
        "<measType>A</measType><measType>B</measType>"
        '<measValue measObjLdn="ME=1,C=1"><r>+1</r><r>2e0</r><suspect>false</suspect></measValue>',
        TYPES + '<measValue measObjLdn="C=1"><r p="1">1</r></measValue>'
        '<measValue measObjLdn="C=1"><r p="2">2</r></measValue>',
        TYPES + '<measValue measObjLdn="C=1"><r p="1">1</r><r p="2">2</r></measValue></measInfo>'
        '<measInfo><granPeriod duration="900" endtime="2026-01-05T10:15:00+02:00"/><measType p="x">A</measType>'
        '<measValue measObjLdn="C=1"><r p="x">NIL</r></measValue>',
    ],
)
def test_ways_to_write_the_same(tmp_path: Path, body: str) -> None:
    table, _ = read_text(tmp_path, HEAD + PERIOD + body + TAIL)
    assert values_of(table) == {"A": [1.0], "B": [2.0]}
    assert table["object"].tolist() == ["ME=1,C=1"]
    assert table["end_s"].tolist() == [int(END.timestamp())]
    assert table["duration_s"].tolist() == [900.0]


def test_the_newer_standard_and_prefixes_are_read(tmp_path: Path) -> None:
    text = f"""<?xml version="1.0"?><!DOCTYPE m:measDataFile SYSTEM "x.dtd">
    <m:measDataFile xmlns:m="http://www.3gpp.org/ftp/specs/archive/28_series/28.532#measData">
      <m:fileHeader vendorName="V"/>
      <m:measData><m:measEntity localDn="gNB=7"/>
        <m:measInfo measInfoId="x"><m:granPeriod duration="PT1H30M" endTime="{END.isoformat()}"/>
          <m:measType p="1">A</m:measType>
          <m:measValue measObjLdn="/rnc=1/cell=2"><m:r p="1">5</m:r><m:suspect>true</m:suspect></m:measValue>
        </m:measInfo></m:measData></m:measDataFile>"""
    table, info = read_text(tmp_path, text)
    assert values_of(table) == {"A": [5.0]}
    assert table["managed_element"].tolist() == ["gNB=7"]
    assert table["name"].tolist() == ["2"]
    assert table["duration_s"].tolist() == [5400.0]
    assert info.suspect == 1


def test_missing_values_and_lists(tmp_path: Path) -> None:
    body = '<measValue measObjLdn="C=1"><r p="1"></r><r p="2">3,4,</r></measValue>'
    table, info = read_text(tmp_path, HEAD + PERIOD + TYPES + body + TAIL)
    assert info.missing == 2
    assert {n: v for n, v in values_of(table).items() if n.startswith("B")}["B[1]"] == [4.0]
    assert np.isnan([values_of(table)["A"][0], values_of(table)["B[2]"][0]]).all()


def test_folders_gzip_and_repetitions(tmp_path: Path) -> None:
    body = '<measValue measObjLdn="C=1"><r p="1">1</r><r p="2">2</r></measValue>'
    text = HEAD + PERIOD + TYPES + body + TAIL
    later = text.replace("08:15", "08:30").replace('p="1">1<', 'p="1">9<')
    (tmp_path / "one.xml").write_text(text)
    (tmp_path / "one.xml.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "two.XML").write_bytes(later.encode("utf-16"))
    (tmp_path / "counters.csv").write_text("name\n")
    table, info = read_pm_xml(tmp_path)
    assert values_of(table) == {"A": [1.0, 9.0], "B": [2.0, 2.0]}
    assert [path.name for path in info.files] == ["one.xml", "one.xml.gz", "two.XML"]
    assert info.repeated == 2
    both, _ = read_pm_xml([tmp_path / "one.xml", tmp_path / "two.XML"])
    assert values_of(both) == values_of(table)
    (tmp_path / "three.xml").write_text(text.replace('p="2">2<', 'p="2">2.5<'))
    with pytest.raises(InputError, match=r"three\.xml line 1: B is 2\.5, allowed is 2, which this object had"):
        read_pm_xml([tmp_path / "one.xml", tmp_path / "three.xml"])


def test_no_values_at_all(tmp_path: Path) -> None:
    table, info = read_text(tmp_path, HEAD + PERIOD + TYPES + TAIL)
    assert [len(column) for column in table.values()] == [0] * 6
    assert info.counters == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + PERIOD + TYPES + '<measValue measObjLdn="C">\n<r p="1">1_0</r></measValue>' + TAIL,
            "line 2: A is '1_0'",
        ),
        (HEAD + PERIOD + TYPES + '<measValue measObjLdn="C"><r p="1">1e999</r></measValue>' + TAIL, "A is '1e999'"),
        (HEAD + PERIOD + TYPES + '<measValue measObjLdn="C"><r p="3">1</r></measValue>' + TAIL, "p is '3', allowed"),
        (HEAD + "<measInfo>" + TYPES + '<measValue measObjLdn="C"/>' + TAIL, "granPeriod is missing"),
        (HEAD + '\n<measInfo><granPeriod endTime="soon"/>' + TAIL, "line 2: endTime is 'soon'"),
        (HEAD + '<measInfo><granPeriod duration="long" endTime="2026-01-05"/>' + TAIL, "duration is 'long'"),
        ("<html/>", "root element is html, allowed is measCollecFile"),
        (HEAD + "\n<measInfo>", r"line 2: content is damaged XML \(no element found\)"),
        ("", "content is damaged XML"),
        (HEAD + "<a>" * 200, "depth is 101"),
    ],
)
def test_what_is_broken_is_said_in_one_sentence_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_text(tmp_path, text)
    assert "v.xml line " in str(caught.value)
    assert "\n" not in str(caught.value)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE measCollecFile [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<measCollecFile><measData><managedElement localDn="&c;"/></measData></measCollecFile>"""


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: entity is a, allowed is no entities"):
        read_text(tmp_path, BOMB)
    outside = BOMB.replace('"aaaaaaaaaa"', 'SYSTEM "file:///etc/hostname"')
    with pytest.raises(InputError, match="no entities"):
        read_text(tmp_path, outside)


def test_bad_values_can_be_passed_over(tmp_path: Path) -> None:
    body = '<measValue measObjLdn="C=1"><r p="1">high</r><r p="2">2</r></measValue>'
    table, info = read_text(tmp_path, HEAD + PERIOD + TYPES + body + TAIL, skip_bad=True)
    assert np.isnan(table["A"]).all()
    assert table["B"].tolist() == [2.0]
    assert len(info.problems) == 1
    assert "A is 'high', allowed is a number or NIL" in info.problems[0]


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed is at least one"):
        read_pm_xml(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_pm_xml(tmp_path / "none.xml")
    (tmp_path / "cut.xml.gz").write_bytes(gzip.compress((HEAD * 100).encode())[:-20])
    with pytest.raises(InputError, match="damaged gzip"):
        read_pm_xml(tmp_path)
