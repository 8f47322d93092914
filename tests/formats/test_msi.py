"""Antenna files: what makers write, and what they get wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.formats import msi


def lines_of(title: str, values: list[float], step: float = 1.0) -> list[str]:
    return [f"{title} {len(values)}", *(f"{k * step:g}\t{value:.2f}" for k, value in enumerate(values))]


HORIZONTAL = [min(12 * (min(k, 360 - k) / 65) ** 2, 30.0) for k in range(360)]
VERTICAL = [min(12 * (((k - 4 + 180) % 360 - 180) / 7) ** 2, 25.0) for k in range(360)]
HEAD = [
    "NAME test panel 65",
    "MAKE Nobody",
    "FREQUENCY 2140",
    "GAIN 15.50 dBd",
    "TILT ELECTRICAL",
    "COMMENT  a b",
]


def write(folder: Path, head: list[str] = HEAD, body: list[str] | None = None) -> Path:
    path = folder / "a.msi"
    body = lines_of("HORIZONTAL", HORIZONTAL) + lines_of("VERTICAL", VERTICAL) if body is None else body
    path.write_text("\n".join(head + body) + "\n", encoding="latin-1")
    return path


def test_a_makers_file(tmp_path):
    cuts, info = msi.read(write(tmp_path))
    assert cuts.gain_dbi == pytest.approx(17.65)
    assert (info.name, info.make, info.frequency_hz) == ("test panel 65", "Nobody", 2.14e9)
    assert (info.electrical_tilt_deg, info.tilt_from) == (4.0, "beam")
    assert info.others == {"COMMENT": "a b"}
    np.testing.assert_allclose(cuts.horizontal_db, HORIZONTAL, atol=0.006)
    np.testing.assert_allclose(cuts.vertical_db, VERTICAL, atol=0.006)


@pytest.mark.parametrize(
    ("line", "gain_dbi"),
    [("GAIN 15.5", 17.65), ("gain 17.65 dBi", 17.65), ("GAIN 17,65dBi", 17.65), ("GAIN 15.5 (dBd)", 17.65)],
)
def test_gain_is_in_dbd_unless_it_says_dbi(tmp_path, line, gain_dbi):
    assert msi.read(write(tmp_path, [line]))[0].gain_dbi == pytest.approx(gain_dbi)


@pytest.mark.parametrize(
    ("lines", "tilt"),
    [
        (["TILT 6"], (6.0, "file")),
        (["TILT ELECTRICAL", "ELECTRICAL_TILT 2.5"], (2.5, "file")),
        (["TILT MECHANICAL"], (4.0, "beam")),
        ([], (4.0, "beam")),
    ],
)
def test_tilt_is_what_the_file_says_or_else_where_its_beam_points(tmp_path, lines, tilt):
    info = msi.read(write(tmp_path, ["GAIN 15", *lines]))[1]
    assert (info.electrical_tilt_deg, info.tilt_from) == tilt


def test_a_bare_name_in_the_first_line(tmp_path):
    assert msi.read(write(tmp_path, ["742 215 V01", "GAIN 15"]))[1].name == "742 215 V01"


def test_cuts_of_other_steps_ranges_and_signs(tmp_path):
    half = [min(12 * (min(k / 2, 360 - k / 2) / 65) ** 2, 30.0) for k in range(720)]
    signed = ["VERTICAL 361", *(f"{k} -{VERTICAL[k % 360]:.2f}" for k in range(-180, 181))]
    cuts, _ = msi.read(write(tmp_path, body=lines_of("HORIZONTAL", half, 0.5) + signed))
    np.testing.assert_allclose(cuts.horizontal_db, HORIZONTAL, atol=0.006)
    np.testing.assert_allclose(cuts.vertical_db, VERTICAL, atol=0.006)


@pytest.mark.parametrize(
    ("head", "body", "sentence"),
    [
        (["NAME x"], None, "GAIN is missing, allowed is a number in dBd or dBi"),
        (["GAIN 15 dBm"], None, "GAIN is '15 dBm'"),
        (["GAIN 500"], None, "GAIN is 500, allowed is -50 to 80 dB"),
        (["GAIN 15", "TILT 200"], None, "TILT is 200"),
        (["GAIN 15", "FREQUENCY 2100"], lines_of("VERTICAL", VERTICAL), "HORIZONTAL is missing"),
        (HEAD, lines_of("HORIZONTAL", HORIZONTAL), "VERTICAL is missing"),
        (HEAD, lines_of("HORIZONTAL", HORIZONTAL)[:200], "line 200 of 360 of HORIZONTAL is 'nothing'"),
        (HEAD, ["HORIZONTAL 3", "0 1", "1 x", "2 3"], "line 2 of 3 of HORIZONTAL is '1 x'"),
        (HEAD, ["HORIZONTAL 3", "0 1", "1 nan", "2 3", *lines_of("VERTICAL", VERTICAL)], "HORIZONTAL is out of range"),
        (HEAD, ["HORIZONTAL all"], "HORIZONTAL is all"),
        (HEAD, [*lines_of("HORIZONTAL", HORIZONTAL[:90]), *lines_of("VERTICAL", VERTICAL)], "HORIZONTAL is 90 angles"),
        (HEAD, ["HORIZONTAL 0", *lines_of("VERTICAL", VERTICAL)], "HORIZONTAL is 0 angles"),
        (
            HEAD,
            [*lines_of("HORIZONTAL", [15 - v for v in HORIZONTAL]), *lines_of("VERTICAL", VERTICAL)],
            "both above and below 0 dB",
        ),
        (HEAD, ["12 13"], "line is '12 13'"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(tmp_path, head, body, sentence):
    with pytest.raises(InputError) as caught:
        msi.read(write(tmp_path, head, body))
    assert sentence in str(caught.value)
    assert "a.msi" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\x01\x02"])
def test_no_antenna_file_at_all(tmp_path, content):
    (tmp_path / "a.msi").write_bytes(content)
    with pytest.raises(InputError):
        msi.read(tmp_path / "a.msi")
    with pytest.raises(InputError, match=r"no such file"):
        msi.read(tmp_path / "none.msi")


@given(seed=st.integers(0, 2**32 - 1), tilt=st.integers(-10, 15), frequency=st.sampled_from([None, 7.58e8, 3.5e9]))
@settings(max_examples=20)
def test_what_is_written_is_read_back(tmp_path_factory, seed, tilt, frequency):
    horizontal_db, vertical_db = np.random.default_rng(seed).uniform(0.0, 60.0, (2, 360)).round(3)
    path = tmp_path_factory.mktemp("msi") / "b.msi"
    cuts = msi.Cuts(horizontal_db, vertical_db, 16.25)
    msi.write(path, cuts, "b", frequency_hz=frequency, electrical_tilt_deg=float(tilt))
    again, info = msi.read(path)
    np.testing.assert_allclose(again.horizontal_db, horizontal_db, atol=1e-9)
    np.testing.assert_allclose(again.vertical_db, vertical_db, atol=1e-9)
    assert (again.gain_dbi, info.electrical_tilt_deg, info.frequency_hz) == (16.25, float(tilt), frequency)
