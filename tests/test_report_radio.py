"""The section that takes a radio map apart: its figures, and when it is there at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.pictures import layers
from mndt.radio import parts as radio_parts
from mndt.radio import pathloss
from mndt.radio.parts import Parts
from mndt.report import parts, radio, write_report
from mndt.report.view import view
from mndt.scenario import set_value
from small_city import paper_run, small_city
from test_report import Page, small_coverage

ROWS, COLS, CELL_M = 60, 40, 5.0
HEIGHT_M, USER_M, GHZ = 25.0, 1.5, 3.5


@pytest.fixture(autouse=True, scope="module")
def _small_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "PICTURE_PIXELS", 2.8e5)
        yield


def made_up(*, rays: bool = True, offset_db: float = 3.0, spread_db: float = 6.0) -> Parts:
    """A station whose obstructed loss is UMi's plus an offset and a spread, half the map in sight."""
    row, col = np.indices((ROWS, COLS))
    ground_m = np.hypot((col + 0.5) * CELL_M - 100.0, (row + 0.5) * CELL_M - 150.0).astype(np.float32)
    slant_m = pathloss.slant_distance_m(ground_m, HEIGHT_M, USER_M)
    sight, outdoor = col < COLS // 2, row >= 8
    loss_db = pathloss.loss_db("UMi", sight, ground_m, slant_m, GHZ, HEIGHT_M, USER_M)
    noise = np.random.default_rng(1).normal(0.0, spread_db, (ROWS, COLS))
    fused = np.where(outdoor, -loss_db - np.where(sight, 0.0, offset_db + noise), np.nan)
    gains = {"sweep": fused, "fused": fused, "tr38901": np.where(outdoor, -loss_db, np.nan)}
    if rays:
        gains = {"rays": np.where(outdoor & (row < 30), fused - 5.0, np.nan), **gains}
    gain_db = {name: np.asarray(values, np.float32) for name, values in gains.items()}
    return Parts(gain_db, sight & outdoor, outdoor, ground_m, CELL_M, "UMi", GHZ, HEIGHT_M, 0)


def test_bins_hold_median_and_spread_beside_the_standard() -> None:
    bins = radio.bins_of(made_up(), USER_M)
    assert len(bins) >= 4
    assert sum(b.pixels for b in bins) <= ROWS * COLS // 2
    large = [b for b in bins if b.pixels > 150]
    assert large
    for b in large:
        assert b.loss_db - b.standard_db[0] == pytest.approx(3.0, abs=1.8)
        assert b.spread_db == pytest.approx(6.0, abs=1.5)
        slant_m = pathloss.slant_distance_m(b.distance_m, HEIGHT_M, USER_M)
        uma_db = pathloss.loss_db("UMa", False, b.distance_m, slant_m, GHZ, HEIGHT_M, USER_M)
        assert b.standard_db[1] == pytest.approx(float(uma_db))


def test_only_obstructed_places_outdoors_count() -> None:
    whole = made_up()
    in_sight = replace(whole, sight=whole.outdoor)
    assert radio.bins_of(in_sight, USER_M) == []
    assert sum(b.pixels for b in radio.bins_of(replace(whole, outdoor=np.zeros_like(whole.outdoor)), USER_M)) == 0


def test_the_section_shows_four_maps_a_curve_and_a_table() -> None:
    page = Page(radio.radio_section(small_city(), made_up(), USER_M).html)
    assert not page.unclosed
    titles = re.findall(r"Rays|Over the roofs|Together|Minus TR 38\.901", page.words)
    assert titles[:4] == ["Rays", "Over the roofs", "Together", "Minus TR 38.901"]
    assert [str(image["src"])[:22] for image in page.all("img")] == ["data:image/png;base64,"] * 4
    assert all("© Mapmakers" in str(image["alt"]) for image in page.all("img"))
    assert "Station mast, 25 m above ground, at 3.5 GHz" in page.words
    assert "50% of the ground outdoors is in its sight" in page.words
    (svg,) = page.all("svg")
    assert "less that of TR 38.901 UMi is" in str(svg["aria-label"])


def test_without_rays_there_are_two_maps_and_without_obstruction_no_curve() -> None:
    city, parts_ = small_city(), made_up(rays=False)
    assert len(Page(radio.radio_section(city, parts_, USER_M).html).all("img")) == 2
    clear = Page(radio.radio_section(city, replace(parts_, sight=parts_.outdoor), USER_M).html)
    assert not clear.all("svg")
    assert not clear.all("table")


def seen(engine: str):
    run = paper_run("fundamentals")
    return view([replace(run, scenario=set_value(run.scenario, f"radio.engine={engine}"))])


def test_it_is_there_only_where_maps_have_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(radio_parts, "parts_of", lambda city, radio, site, seed: asked.append(site) or made_up())
    assert radio.radio_part(seen("tr38901")) is None
    assert asked == []
    section = radio.radio_part(seen("sweep"))
    assert section is not None
    assert (section.anchor, asked) == ("radio", [0])
    indoors = seen("sweep")
    sites = replace(indoors.city.sites, indoor=np.ones(2, bool))
    inside = SimpleNamespace(runs=indoors.runs, city=replace(indoors.city, sites=sites))
    assert radio.radio_part(inside) is None


def test_a_missing_ray_tracer_does_not_take_the_report_away(monkeypatch, caplog) -> None:
    def missing(*_, **__):
        raise InputError("package sionna-rt", "missing", allowed="installed", fix="install it")

    monkeypatch.setattr(radio_parts, "parts_of", missing)
    assert radio.radio_part(seen("fused")) is None
    assert "no radio section: package sionna-rt is missing" in caplog.text


def test_the_page_holds_the_section(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio_parts, "parts_of", lambda *_, **__: made_up())
    run = paper_run("fundamentals")
    run = replace(run, scenario=set_value(run.scenario, "radio.engine=sweep"))
    path = write_report([run], tmp_path / "r.html", coverage=small_coverage(), parts=parts.PARTS)
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.unclosed
    assert "Radio map taken apart" in page.words
