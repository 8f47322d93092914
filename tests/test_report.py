"""The report: what stands on the page, that it fetches nothing, and that it never breaks on odd runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.network.kpi import KPI_FIELDS
from mndt.pictures import layers
from mndt.report import PARTS, SIZE_LIMIT_BYTES, Coverage, write_report
from mndt.report.numbers import difference_text, kpi_rows, percent, table1_rows, tile, verdict
from mndt.report.section import Section
from mndt.report.view import over_time, view
from small_city import SECONDS, Columns, PaperRun, paper_run, small_city

pytestmark = pytest.mark.usefixtures("small_pictures")

VOID = {"meta", "img", "input", "br", "path", "circle", "line", "use"}


class Page(HTMLParser):
    """What a reader of the page can rely on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def small_coverage() -> Coverage:
    rsrp = np.full((30, 20), -95.0, np.float32)
    rsrp[:6] = -75.0  # a fifth of the area
    indoor = np.zeros((30, 20), bool)
    indoor[:3] = True
    return Coverage(rsrp, np.zeros((30, 20), np.int32), indoor, 10.0)


@pytest.fixture(scope="module")
def small_pictures() -> Iterator[None]:
    """A tenth of the pixels: quick, and nothing here counts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "PICTURE_PIXELS", 2.8e5)
        yield


@pytest.fixture(scope="module")
def runs() -> list[PaperRun]:
    return [paper_run("fundamentals"), paper_run("proportional-fair", 2.5)]


@pytest.fixture(scope="module")
def html(runs: list[PaperRun], small_pictures: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_report(runs, tmp_path_factory.mktemp("report") / "report.html", coverage=small_coverage())
    assert path.stat().st_size < SIZE_LIMIT_BYTES
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


class TestPage:
    def test_it_fetches_nothing(self, html: str, page: Page) -> None:
        assert not page.all("link")
        assert not page.all("iframe")
        for tag, attrs in page.tags:
            assert "src" not in attrs or str(attrs["src"]).startswith("data:"), tag
            assert tag == "a" or not str(attrs.get("href") or attrs.get("xlink:href") or "#").startswith("http"), tag
        assert "@import" not in html
        assert not re.search(r"url\(\s*['\"]?(?!#)", html)
        assert "fetch(" not in html

    def test_every_tag_is_closed(self, page: Page) -> None:
        assert not page.unclosed
        assert not page.open

    def test_headings_go_down_one_step_at_a_time(self, page: Page) -> None:
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))

    def test_pictures_speak(self, page: Page) -> None:
        assert all(attrs.get("alt") for attrs in page.all("img"))
        for attrs in page.all("svg"):
            assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
        assert all(attrs.get("scope") for attrs in page.all("th"))

    def test_ids_are_unique_and_links_lead_somewhere(self, page: Page) -> None:
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        for attrs in page.all("a"):
            target = str(attrs["href"])
            assert target.startswith("https://") or target.removeprefix("#") in ids
        assert all(attrs["for"] in ids for attrs in page.all("label"))

    def test_sections_come_in_order(self, page: Page) -> None:
        anchors = [attrs["id"] for attrs in page.all("section")]
        assert anchors == ["figures", "map", "coverage", "curves", "rates", "kpis", "cells", "table1", "making"]

    def test_the_headline_is_said_in_words(self, page: Page) -> None:
        assert "proportional-fair the network delivers 2.5 times the traffic" in page.words
        assert "Smallville" in page.words
        assert "08:00 to 08:03" in page.words

    def test_map_data_are_credited(self, runs: list[PaperRun], tmp_path: Path) -> None:
        city = small_city(attribution="© OpenStreetMap contributors, ODbL 1.0")
        path = write_report([paper_run(city=city)], tmp_path / "r.html", coverage=small_coverage())
        text = path.read_text(encoding="utf-8")
        assert text.count("© OpenStreetMap contributors") >= 3
        assert "https://www.openstreetmap.org/copyright" in text

    def test_it_can_be_made_again(self, page: Page) -> None:
        assert "mndt run runs/fundamentals/scenario.toml" in page.words
        assert 'policy = "proportional-fair"' in page.words
        assert "numba" in page.words
        assert "Shannon" in page.words

    def test_every_kpi_has_its_definition(self, page: Page) -> None:
        for field in KPI_FIELDS:
            if field.level == "total":
                assert field.column in page.words
                assert " ".join(field.definition.split()) in page.words

    def test_coverage_shares_are_right(self, page: Page) -> None:
        table = page.words[page.words.index("Share of the area at or above") :]
        assert re.search(r"−80 20\.0 % 11\.1 % 100\.0 %", table)
        assert re.search(r"−100 100\.0 % 100\.0 % 100\.0 %", table)

    def test_the_mouse_finds_every_cell(self, html: str, page: Page) -> None:
        data = re.search(r'id="cell-figures">(.*?)</script>', html, re.DOTALL)
        assert data
        figures = json.loads(data[1])
        assert [cell["name"] for cell in figures["cells"]] == list(small_city().cells.name)
        assert figures["cells"][3]["runs"][0] == [80.0, 13.0, 2.0, 23.08]
        marked = [attrs["data-cell"] for attrs in page.all("path") if "data-cell" in attrs]
        assert marked == ["0", "1", "2", "3"]

    def test_names_from_outside_stay_text(self, tmp_path: Path) -> None:
        city = small_city('<script>alert("x")</script>')
        cells = replace(city.cells, name=("</script><b>", *city.cells.name[1:]))
        run = paper_run(city=replace(city, cells=cells))
        text = write_report([run], tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "</script><b>" not in text

    def test_the_same_runs_give_the_same_bytes(self, html: str, runs: list[PaperRun], tmp_path: Path) -> None:
        again = write_report(runs, tmp_path / "r.html", coverage=small_coverage())
        assert again.read_text(encoding="utf-8") == html


class TestSections:
    def test_more_sections_stand_before_the_last(self, runs: list[PaperRun], tmp_path: Path) -> None:
        more = [Section("Energy by hour", "<p>12 kWh</p>", lead="As simulated.")]
        path = write_report(runs[:1], tmp_path / "r.html", coverage=small_coverage(), more=more)
        page = Page(path.read_text(encoding="utf-8"))
        assert [attrs["id"] for attrs in page.all("section")][-2:] == ["energy-by-hour", "making"]
        assert "12 kWh" in page.words

    def test_parts_can_be_chosen(self, runs: list[PaperRun], tmp_path: Path) -> None:
        path = write_report(runs, tmp_path / "r.html", coverage=small_coverage(), parts=PARTS[-1:])
        assert [attrs["id"] for attrs in Page(path.read_text(encoding="utf-8")).all("section")] == ["figures", "making"]


class TestOddRuns:
    def test_one_run_alone(self, runs: list[PaperRun], tmp_path: Path) -> None:
        page = Page(write_report(runs[:1], tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8"))
        assert "difference" not in page.words.split("Definitions")[0]
        assert "▲" not in page.words
        assert "▼" not in page.words

    def test_three_runs_two_of_one_name(self, runs: list[PaperRun], tmp_path: Path) -> None:
        three = [*runs, replace(runs[0], folder=Path("runs/second"))]
        page = Page(write_report(three, tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8"))
        assert "fundamentals, second" in page.words

    def test_a_single_second_without_anyone(self, tmp_path: Path) -> None:
        run = paper_run()
        one = run.kpis.values["time_s"] == 8 * 3600
        totals = {
            k: v[one] if k == "time_s" else np.full(1, np.nan if k == "X.SinrMedian" else 0.0)
            for k, v in run.kpis.values.items()
        }
        cells = {k: v[:4] if k in ("time_s", "cell") else np.zeros(4) for k, v in run.cells.values.items()}
        users = {k: v[:60] for k, v in run.users.values.items()} | {
            "mode": np.full(60, -1),
            "X.Active": np.zeros(60, bool),
        }
        empty = replace(run, kpis=Columns(totals), cells=Columns(cells), users=Columns(users))
        page = Page(
            write_report([empty, empty], tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8")
        )
        assert "nan" not in page.words.lower().split()
        assert "inf" not in page.words.lower().split()

    def test_runs_over_other_seconds_are_shown_without_intervals(self, runs: list[PaperRun]) -> None:
        later = replace(runs[1], kpis=Columns(runs[1].kpis.values | {"time_s": runs[1].kpis.values["time_s"] + 60}))
        assert all(not row["interval"] for row in kpi_rows(view([runs[0], later])))

    def test_no_runs(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="at least one run"):
            write_report([], tmp_path / "r.html")

    def test_runs_of_two_cities(self, runs: list[PaperRun], tmp_path: Path) -> None:
        other = paper_run(city=small_city("Elsewhere"))
        with pytest.raises(InputError, match="Smallville with 4 cells and Elsewhere"):
            write_report([runs[0], other], tmp_path / "r.html", coverage=small_coverage())
        assert not (tmp_path / "r.html").exists()


class TestNumbers:
    def test_cells_over_time(self, runs: list[PaperRun]) -> None:
        found = over_time(runs[0].cells.values, 4)
        assert found["block_use"].tolist() == pytest.approx([20, 40, 60, 80])
        assert found["connected"].tolist() == [10, 11, 12, 13]
        assert found["rate_bps"].tolist() == [2e6] * 4
        assert found["below_share"].tolist() == pytest.approx([0, 100 / 11, 200 / 12, 300 / 13])

    def test_a_cell_asleep_divides_by_nothing(self, runs: list[PaperRun]) -> None:
        asleep = {k: v if k in ("time_s", "cell") else 0 * v for k, v in runs[0].cells.values.items()}
        assert all(np.isfinite(values).all() for values in over_time(asleep, 4).values())

    def test_tiles_compare_with_the_first_run(self, runs: list[PaperRun]) -> None:
        outage = tile(view(runs), "X.OutageRatio")["rows"]
        assert outage[0]["value"] == "30.0"
        assert outage[1]["difference"] == "−18.0 points"
        assert (outage[0]["verdict"], outage[1]["verdict"]) == ("", "better")

    def test_a_difference_inside_the_noise_is_not_judged(self, runs: list[PaperRun]) -> None:
        rng = np.random.default_rng(3)
        noisy = [
            replace(r, kpis=Columns(r.kpis.values | {"X.BacklogDl": 1e9 + rng.normal(0, 1e8, SECONDS)})) for r in runs
        ]
        rows = {row["column"]: row for row in kpi_rows(view(noisy))}
        assert rows["X.BacklogDl"]["interval"]
        assert rows["X.BacklogDl"]["verdict"] == ""
        assert rows["X.ThroughputDl"]["verdict"] == "better"
        assert rows["X.OutageRatio"]["verdict"] == "better"

    def test_shares_differ_in_points_and_sizes_in_per_cent(self) -> None:
        assert difference_text(40.0, 42.5, "%") == "+2.50 points"
        assert difference_text(1.0, 1.5, "dB") == "+0.500 dB"
        assert difference_text(0.0, 5.0, "W") == "+5.00 W"
        assert difference_text(float("nan"), 5.0, "W") == "–"
        assert percent(1000.0, 1000.1) == "0 %"
        assert verdict(float("nan"), 1) == ""

    def test_table_1_scales_what_grows_with_the_area(self, runs: list[PaperRun]) -> None:
        rows = {row["name"]: row for row in table1_rows(view(runs))}
        assert len(rows) == 9
        users = rows["users"]
        assert (users["paper"], users["ours"], users["paper_km2"], users["ours_km2"]) == (
            "13,000",
            "60",
            "3,250",
            "1,000",
        )
        assert rows["power in dBm, outdoor / indoor"]["ours"] == "30 / 23.98"
        assert rows["noise in dBm/Hz"]["paper_km2"] == ""

    def test_coverage_of_no_area_is_unknown(self) -> None:
        assert np.isnan(small_coverage().share_above(-80, np.zeros((30, 20), bool)))


def test_the_configuration_is_the_one_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text('file = "city.npz"\n', encoding="utf-8")
    run = replace(paper_run(), folder=tmp_path)
    page = Page(write_report([run], tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8"))
    assert 'file = "city.npz"' in page.words
    assert str(tmp_path) not in page.words


def test_a_city_without_indoor_stations_is_no_trouble(tmp_path: Path) -> None:
    import mndt
    from mndt.city.synthetic import synthetic_city

    city = synthetic_city(size_m=400, lanes=60, areas=40, outdoor_sites=3, indoor_sites=0)
    run = mndt.run(city, minutes=0.05, out=tmp_path / "run", progress=False, cache_dir=tmp_path / "maps")
    page = mndt.write_report([run], tmp_path / "page.html").read_text()
    assert "nearest station" in page
    part = next((tmp_path / "run" / "totals").glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(mndt.InputError, match="a whole Parquet file"):
        mndt.write_report([mndt.read_run(tmp_path / "run")], tmp_path / "again.html")
