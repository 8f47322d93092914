"""The report: what stands on the page, that it fetches nothing, and that it never breaks on odd runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from mndt.demo import story
from mndt.errors import InputError
from mndt.network.energy import EnergyModel, consumed_w
from mndt.network.incident_parameters import Incident
from mndt.network.incidents import NodeStatus
from mndt.network.kpi import KPI_FIELDS
from mndt.pictures import layers
from mndt.report import PARTS, SIZE_LIMIT_BYTES, Coverage, Part, areas, energy, incidents, mobility, parts, write_report
from mndt.report.numbers import difference_text, kpi_rows, percent, table1_rows, tile, verdict
from mndt.report.section import Section
from mndt.report.view import over_time, view
from small_city import MOVES, SECONDS, Columns, PaperRun, paper_run, small_city

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
        after_the_curves = ["rates", "mobility", "energy", "cells", "areas", "kpis", "table1", "making"]
        assert anchors == ["figures", "map", "coverage", "radio", "curves", *after_the_curves]

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
        assert figures["cells"][3]["runs"][0] == [80.0, 13.0, 2.0, 23.08, 250.0]
        assert len(figures["labels"]) == 5
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

    @pytest.mark.parametrize("rows", [60, 0], ids=["all absent", "no users at all"])
    def test_a_single_second_without_anyone(self, tmp_path: Path, rows: int) -> None:
        run = paper_run()
        one = run.kpis.values["time_s"] == 8 * 3600
        totals = {
            k: v[one] if k == "time_s" else np.full(1, np.nan if k == "X.SinrMedian" else 0.0)
            for k, v in run.kpis.values.items()
        }
        cells = {k: v[:4] if k in ("time_s", "cell") else np.zeros(4) for k, v in run.cells.values.items()}
        users = {k: v[:rows] for k, v in run.users.values.items()} | {
            "mode": np.full(rows, -1),
            "X.Active": np.zeros(rows, bool),
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


def drop_columns(folder: Path) -> None:
    """Make a run folder one of the first version: a few KPIs, no areas, no milliseconds."""
    import pyarrow.parquet as pq

    keep = {"time_s", "cell", "kind", "user", "from_cell", "X.OfferedDl", "X.BacklogDl", "X.ThroughputDl"}
    keep |= {"X.SatisfiedShare", "X.OutageRatio", "DRB.MeanActiveUeDl", "RRC.ConnMean", "X.BelowMinimum"}
    keep |= {"DRB.PdcpSduVolumeDL", "RRU.PrbUsedDl", "RRU.PrbAvailDl", "X.TransmitPower"}
    shutil.rmtree(folder / "areas")
    for table in ("totals", "cells", "events"):
        for part in (folder / table).glob("part-*.parquet"):
            columns = pq.read_table(part)
            pq.write_table(columns.select([name for name in columns.column_names if name in keep]), part)


def test_a_city_without_indoor_stations_is_no_trouble(tmp_path: Path) -> None:
    import mndt
    from mndt.city.synthetic import synthetic_city

    city = synthetic_city(size_m=400, lanes=60, areas=40, outdoor_sites=3, indoor_sites=0)
    run = mndt.run(city, minutes=0.05, out=tmp_path / "run", progress=False, cache_dir=tmp_path / "maps")
    page = mndt.write_report([run], tmp_path / "page.html").read_text()
    assert "nearest station" in page
    drop_columns(tmp_path / "run")
    assert "Energy" not in mndt.write_report([mndt.read_run(tmp_path / "run")], tmp_path / "old.html").read_text()
    part = next((tmp_path / "run" / "totals").glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(mndt.InputError, match="a whole Parquet file"):
        mndt.write_report([mndt.read_run(tmp_path / "run")], tmp_path / "again.html")


# ---- energy, mobility, incidents, areas -------------------------------------------------------


def one(run: PaperRun, totals: dict[str, np.ndarray] | None = None, cells: dict[str, np.ndarray] | None = None) -> Any:
    """The view of one run with some columns of its tables replaced."""
    kpis, of_cells = Columns(run.kpis.values | (totals or {})), Columns(run.cells.values | (cells or {}))
    return view([replace(run, kpis=kpis, cells=of_cells)])


def part_page(tmp_path: Path, part: Part, *runs: PaperRun) -> Page:
    """A page of one part alone."""
    path = write_report(runs, tmp_path / "part.html", coverage=small_coverage(), parts=[part])
    return Page(path.read_text(encoding="utf-8"))


def row_of(rows: list[dict[str, Any]], label: str) -> dict[str, Any]:
    return next(row for row in rows if row["label"].startswith(label))


class TestEnergy:
    def test_power_energy_and_day_belong_together(self, runs: list[PaperRun]) -> None:
        rows = energy._rows(view(runs))  # 1 kW for 180 s beside 4 and 10 Mbit/s
        assert row_of(rows, "Power consumed")["values"] == ["1.00", "1.00"]
        assert row_of(rows, "Energy of the run")["values"] == ["0.050", "0.050"]
        assert row_of(rows, "Energy per day")["values"] == ["24.0", "24.0"]
        assert row_of(rows, "Energy per day")["tag"] == "extrapolated"
        assert row_of(rows, "Power per traffic")["values"] == ["250", "100.0"]
        assert row_of(rows, "Power per traffic")["verdict"] == "better"
        assert row_of(rows, "Power consumed")["verdict"] == ""

    def test_a_whole_day_is_not_extrapolated(self) -> None:
        time_s = np.arange(energy.DAY_S)
        day = {name: np.resize(values, len(time_s)) for name, values in paper_run().kpis.values.items()}
        assert row_of(energy._rows(one(paper_run(), day | {"time_s": time_s})), "Energy per day")["tag"] == ""

    def test_the_split_is_the_energy_model_second_by_second(self) -> None:
        city, rng = small_city(), np.random.default_rng(5)
        city = replace(city, cells=replace(city.cells, energy_class=("macro", "rrh", "macro", "pico")))
        status = rng.integers(0, 3, (SECONDS, 4)).astype(np.int8)
        sent_w = np.where(status == 0, rng.uniform(0, 20, status.shape), 0.0).astype(np.float32)
        model = EnergyModel.build(city.cells, 2)
        took = [consumed_w(model, s, p) for s, p in zip(status, sent_w, strict=True)]
        total_w = np.array([t.total_w for t in took]) + 7.0  # of cells that start up
        seen = one(
            paper_run(city=city),
            {"PEE.AvgPower": total_w},
            {"X.Status": status.ravel(), "X.TransmitPower": sent_w.ravel()},
        )
        found = energy.split(seen, seen.runs[0])
        assert found is not None
        assert found.radio_w == pytest.approx(np.mean([t.rru_w.sum() for t in took]), rel=1e-5)
        assert found.baseband_w == pytest.approx(np.mean([t.bbu_w.sum() for t in took]), rel=1e-5)
        assert found.cooling_w == pytest.approx(np.mean([t.cooling_w.sum() for t in took]), rel=1e-5)
        assert found.waking_w == pytest.approx(7.0, abs=0.01)
        assert sum(watts for _, watts in found.parts) == pytest.approx(total_w.mean())

    def test_a_run_with_another_energy_model_is_not_split(self) -> None:
        seen = one(paper_run(), {"PEE.AvgPower": np.full(SECONDS, 100.0)})  # less than its cells idle with
        assert energy.split(seen, seen.runs[0]) is None

    def test_among_equal_stations_the_idlest_comes_first(self) -> None:
        volume = np.tile([9.0, 0.0, 0.0, 3.0], SECONDS)
        power = np.tile([100.0, 100.0, 100.0, 299.0], SECONDS)  # stations of 300 and 299 W
        seen = one(paper_run(), cells={"DRB.PdcpSduVolumeDL": volume, "PEE.AvgPower": power})
        rows = energy._stations(seen, seen.runs[0])
        assert [(row["station"], row["cells"]) for row in rows] == [("lobby", 1), ("mast", 3)]
        assert rows[1]["per_traffic"] == pytest.approx(300 / 9)
        assert sum(row["share"] for row in rows) == pytest.approx(100)

    def test_without_an_energy_model_there_is_no_word_of_it(self, tmp_path: Path) -> None:
        run = paper_run()
        dark = replace(run, kpis=Columns(run.kpis.values | {"PEE.AvgPower": np.full(SECONDS, np.nan)}))
        page = part_page(tmp_path, energy.energy_part, dark)
        assert "energy" not in [attrs["id"] for attrs in page.all("section")]
        assert "Power consumed" not in page.words


class TestMobility:
    """Of MOVES: 3 handovers done, one of them back, 1 refused, 1 failed; 3 links of 2 users lost, 2 regained."""

    COUNTS: ClassVar = {
        "X.Handovers": 3, "X.HandoversRefused": 1, "X.HandoverFailures": 1, "X.RadioLinkFailures": 3, "X.PingPongs": 1,
    }  # fmt: skip

    def seen(self) -> Any:
        first = np.zeros(SECONDS)
        first[0] = 1.0
        return one(paper_run(), {name: n * first for name, n in self.COUNTS.items()})

    def test_shares_and_rates(self) -> None:
        seen = self.seen()
        rows = mobility._rows(seen, [mobility.moves(seen.runs[0])])
        assert row_of(rows, "Handovers")["values"] == ["0.100"]  # 3 of 10 active users in 3 minutes
        assert row_of(rows, "Refused")["values"] == ["20.0"]  # 1 of 5 asked for
        assert row_of(rows, "Failed")["values"] == ["25.0"]  # 1 of 4 begun
        assert row_of(rows, "Ping-pong")["values"] == ["33.3"]
        assert row_of(rows, "Radio-link failures")["values"] == ["0.100"]
        assert row_of(rows, "Users with")["values"] == ["2.00"]
        assert row_of(rows, "Back to")["values"] == ["66.7"]

    def test_the_worst_pairs_come_first(self) -> None:
        seen = self.seen()
        found = mobility.moves(seen.runs[0])
        assert found is not None
        rows = mobility._pairs(seen, found)
        assert [(row["from"], row["to"]) for row in rows] == [
            ("mast-3", "mast-1"),  # refused and failed
            ("mast-2", "mast-1"),  # came back
            ("lobby-1", "mast-3"),  # lost
            ("mast-1", "mast-2"),  # two without any trouble
        ]
        counts = [tuple(row.values())[2:] for row in rows]  # done, refused, failed, ping-pongs, lost
        assert counts == [(0, 1, 1, 0, 0), (1, 0, 0, 1, 0), (0, 0, 0, 0, 1), (2, 0, 0, 0, 0)]

    def test_cells_that_a_policy_names_cannot_fail(self, tmp_path: Path) -> None:
        run = paper_run()
        named = run.events.values | {"offset_ms": np.zeros(len(MOVES) + 1, np.int32)}
        page = part_page(tmp_path, mobility.mobility_part, replace(run, events=Columns(named)))
        assert "Event A3 is not simulated then" in page.words
        assert re.search(r"Ping-pong Of all handovers done: [^–]*? – %", page.words)
        assert "Between which cells" not in page.words
        rows = {row["column"]: row for row in kpi_rows(view([replace(run, events=Columns(named)), run]))}
        assert rows["X.PingPongs"]["values"] == ["–", "1,800"]
        assert (rows["X.PingPongs"]["verdict"], rows["X.PingPongs"]["interval"]) == ("", "")
        assert rows["X.Handovers"]["values"] == ["1,800", "1,800"]

    def test_nobody_moving_is_no_trouble(self, tmp_path: Path) -> None:
        run = paper_run()
        quiet = Columns({name: values[:0] for name, values in run.events.values.items()})
        page = part_page(tmp_path, mobility.mobility_part, replace(run, events=quiet))
        assert "Nobody changed cells." in page.words


SCRIPT = (
    {"kind": "power-cut", "at": "08:01", "duration_s": 60, "site": "mast", "battery_min": 0.5},
    {"kind": "demand-surge", "at": "07:59", "duration_s": 90, "area": 0, "magnitude": 3.0},
    {"kind": "special-event", "at": "08:02:30", "duration_s": 600, "x_m": 50.0, "y_m": 60.0, "radius_m": 40.0},
    {"kind": "cell-failure", "at": "09:00", "duration_s": 60, "cell": "mast-1"},  # after the run
)


def scripted(run: PaperRun, *script: dict[str, Any]) -> PaperRun:
    """The run with incidents, and the cells of the mast without power from 08:01:30 to 08:02."""
    incidents = tuple(Incident(**incident) for incident in script)
    dark = (run.cells.values["time_s"] >= 8 * 3600 + 90) & (run.cells.values["time_s"] < 8 * 3600 + 120)
    node = np.where(dark & (run.cells.values["cell"] < 3), NodeStatus.NO_POWER, NodeStatus.OK).astype(np.int8)
    return replace(
        run,
        scenario=run.scenario.model_copy(update={"incidents": incidents}),
        cells=Columns(run.cells.values | {"X.NodeStatus": node}),
    )


INCIDENT_PARTS = (parts.map_part, parts.curves_part, incidents.incidents_part)


class TestIncidents:
    def test_they_are_told_in_order_of_time_and_only_those_in_the_run(self) -> None:
        found = view([scripted(paper_run(), *SCRIPT)]).incidents
        assert [(h.sign, h.name) for h in found] == [("A", "Demand surge"), ("B", "Power cut"), ("C", "Special event")]

    def test_the_effect_is_the_outage_of_active_users(self) -> None:
        at = paper_run().kpis.values["time_s"] - 8 * 3600
        ratio = np.where(at < 60, 0.1, np.where(at < 120, 0.5, 0.2))
        active = np.where(at % 2 == 0, 30.0, 10.0)
        ratio[(at >= 60) & (at < 120) & (at % 2 == 1)] = 0.1  # half the seconds, a quarter of the users
        run = scripted(paper_run(), *SCRIPT)
        totals = {"X.OutageRatio": ratio, "DRB.MeanActiveUeDl": active}
        seen = view([replace(run, kpis=Columns(run.kpis.values | totals))])
        surge, cut, event = (incidents._row(seen, happening) for happening in seen.incidents)
        assert cut["effects"] == [["10.0", "40.0", "20.0"]]
        assert surge["effects"] == [["–", "10.0", "25.0"]]
        assert event["effects"] == [["30.0", "20.0", "–"]]
        assert (cut["cells"], cut["begin"], cut["end"], cut["where"]) == (3, "08:01", "08:02", "station mast")
        assert cut["what"] == "On batteries until 08:01:30, then off until power is back."
        assert (surge["where"], surge["what"]) == (
            "area 0: park, open ground",
            "Everyone inside asks for 3 times the bits.",
        )

    def test_cells_out_of_service_are_told_and_marked(self, tmp_path: Path) -> None:
        run = scripted(paper_run(), *SCRIPT)
        path = write_report([run], tmp_path / "r.html", coverage=small_coverage(), parts=INCIDENT_PARTS)
        html = path.read_text(encoding="utf-8")
        page = Page(html)
        assert not page.unclosed
        assert "3 incidents" in page.words
        assert re.search(r"mast-1 without power 08:01:30 08:02 30 mast-2", page.words)
        data = re.search(r'id="cell-figures">(.*?)</script>', html, re.DOTALL)
        assert data
        notes = [cell["note"] for cell in json.loads(data[1])["cells"]]
        assert notes == ["without power 08:01:30 to 08:02"] * 3 + [""]
        assert html.count('class="halo"') == 3
        circle = next(attrs for attrs in page.all("circle") if attrs.get("r") == "40.0")
        assert (circle["cx"], circle["cy"]) == ("50.0", "240.0")
        assert "cell failure" not in page.words.lower()
        assert "Shaded: demand surge 07:59 to 08:00:30, power cut 08:01 to 08:02" in html

    def test_what_happened_in_one_run_only_is_said_so(self, tmp_path: Path) -> None:
        calm, struck = paper_run("fundamentals"), scripted(paper_run("proportional-fair"), *SCRIPT[:1])
        path = write_report([calm, struck], tmp_path / "r.html", coverage=small_coverage(), parts=INCIDENT_PARTS)
        page = Page(path.read_text(encoding="utf-8"))
        assert "Power cut proportional-fair only" in page.words
        assert "without power 08:01:30 to 08:02 under proportional-fair" in path.read_text(encoding="utf-8")
        assert view([struck, struck]).incidents[0].runs == (0, 1)

    def test_without_any_nothing_is_said(self, page: Page) -> None:
        assert "incident" not in page.words.lower().split("how this was made")[0]


class TestAreas:
    def test_unmet_demand_is_a_mean_over_the_run(self, runs: list[PaperRun]) -> None:
        seen = view(runs)
        found = areas.unmet(seen, seen.runs[0])
        assert found is not None
        assert found.unmet_bps.tolist() == pytest.approx([1e6, 0.0])  # the park, the way
        assert found.active.tolist() == pytest.approx([4.0, 4.0])
        assert found.outage.tolist() == pytest.approx([0.4, 0.1])

    def test_minutes_cut_short_and_minutes_away_weigh_what_they_lasted(self) -> None:
        run = paper_run()
        rows = {name: values[[1, 3]] for name, values in run.areas.values.items()}
        rows |= {"seconds": np.array([60, 30]), "X.ThroughputDl": np.array([5e6, 0.0])}
        rows |= {"X.OutageRatio": np.array([0.0, 1.0]), "DRB.MeanActiveUeDl": np.array([1.0, 4.0])}
        seen = view([replace(run, areas=Columns(rows))])
        found = areas.unmet(seen, seen.runs[0])
        assert found is not None
        assert found.unmet_bps[0] == pytest.approx(5e6 * 30 / SECONDS)
        assert found.outage[0] == pytest.approx(120 / 180)
        assert np.isnan(found.outage[1])

    def test_the_table_tells_use_place_and_both_runs(self, page: Page) -> None:
        text = page.words[page.words.index("Unmet demand: bits") :]
        assert "park, open ground area 0, at x 150 m, y 50 m 4.00 5.00 1.00 (20 %) 0.400 (8 %) 16.0" in text.replace(
            "\xa0", " "
        )
        assert "1.00 Mbit/s unmet in areas, 0 Mbit/s on the way" in text

    def test_all_served_is_said(self, tmp_path: Path) -> None:
        run = paper_run()
        met = Columns(run.areas.values | {"X.ThroughputDl": run.areas.values["X.OfferedDl"]})
        page = part_page(tmp_path, areas.areas_part, replace(run, areas=met))
        assert "Every area was served all it asked for" in page.words


def test_the_demo_tells_energy_and_handovers() -> None:
    summary = {
        "PEE.Energy": 1.055,
        "PEE.AvgPower": 6330.0,
        "X.ThroughputDl": 3e8,
        "X.Handovers": 2000.0,
        "DRB.MeanActiveUeDl": 800.0,
    }
    runs: Any = [SimpleNamespace(name=name, info={"steps": 600}, summary=summary) for name in ("a", "b")]
    took, moved = story(runs)
    assert took.startswith("In 10 minutes the stations took 1.05 kWh under a and 1.05 kWh under b: 21.1 and 21.1 W")
    assert moved.startswith("There were 2,000 handovers under a (0.25 a minute and active user) and")
