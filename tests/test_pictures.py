"""Pictures: what they show is measured in their pixels and marks, not only that they exist."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import PowerNorm, to_hex, to_rgb
from PIL import Image

from mndt import pictures
from mndt.checks import bench_step
from mndt.checks.output import Result
from mndt.cli import main
from mndt.errors import InputError
from mndt.pictures import areas, curves, layers, scaling, style
from mndt.pictures.bands import Band, lanes
from mndt.state import Users
from small_city import DEPTH_M, WIDTH_M, paper_run, small_city


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the pixels: quick, and enough to meet colours."""
    monkeypatch.setattr(layers, "PICTURE_PIXELS", 3.5e5)


def pixels(figure: object, *, transparent: bool = False) -> np.ndarray:
    png = style.to_png(figure, transparent=transparent)  # type: ignore[arg-type]
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def colour_at(image: np.ndarray, x_m: float, y_m: float) -> tuple[int, ...]:
    rows, cols = image.shape[:2]
    return tuple(int(v) for v in image[rows - 1 - int(y_m / DEPTH_M * rows), int(x_m / WIDTH_M * cols)])


def near(colour: tuple[int, ...], wanted: str, tolerance: int = 6) -> bool:
    return all(abs(a - 255 * b) <= tolerance for a, b in zip(colour[:3], to_rgb(wanted), strict=True))


def crowd(city_width_m: float = WIDTH_M, n: int = 30) -> tuple[Users, np.ndarray]:
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(0, side, n).astype(np.float32) for side in (city_width_m, DEPTH_M))
    users = Users(x, y, np.zeros(n, np.float32), np.zeros(n, np.int8), np.full(n, -1, np.int32))
    return users, (np.arange(n) % 5 - 1).astype(np.int32)


class TestGround:
    def test_courtyards_stay_open_and_tall_buildings_are_darker(self) -> None:
        city = small_city()
        image = pixels(layers.layer_picture(city.frame, layers.ground(city)))
        assert near(colour_at(image, 50, 50), layers.GROUND)
        assert near(colour_at(image, 30, 30), layers.height_colour(12.0))
        assert near(colour_at(image, 130, 240), layers.height_colour(38.0))
        assert sum(to_rgb(layers.height_colour(38.0))) < sum(to_rgb(layers.height_colour(12.0)))

    def test_courtyards_stay_open_whichever_way_rings_run(self) -> None:
        city = small_city()
        turned = replace(
            city.buildings, point_x_m=city.buildings.point_x_m.copy(), point_y_m=city.buildings.point_y_m.copy()
        )
        turned.point_x_m[4:8], turned.point_y_m[4:8] = turned.point_x_m[4:8][::-1], turned.point_y_m[4:8][::-1]
        image = pixels(layers.layer_picture(city.frame, layers.ground(replace(city, buildings=turned))))
        assert near(colour_at(image, 50, 50), layers.GROUND)

    def test_park_and_road_lie_where_they_are(self) -> None:
        city = small_city()
        image = pixels(layers.layer_picture(city.frame, layers.ground(city)))
        assert near(colour_at(image, 160, 30), layers.PARK)
        assert near(colour_at(image, 100, 100), layers.ROAD)

    def test_north_is_up_and_the_picture_keeps_the_shape_of_the_city(self) -> None:
        city = small_city()
        rows, cols = pixels(layers.layer_picture(city.frame, layers.ground(city))).shape[:2]
        assert rows / cols == pytest.approx(DEPTH_M / WIDTH_M, rel=0.01)
        assert rows * cols == pytest.approx(layers.PICTURE_PIXELS, rel=0.01)


class TestCells:
    def test_a_wedge_points_along_its_bearing(self) -> None:
        city = small_city()
        north, _, _, indoor = layers.cell_outlines(city)
        assert north[:, 1].max() > 150
        assert north[:, 1].min() == pytest.approx(150)
        assert np.mean(north[1:, 0]) == pytest.approx(100)
        east = layers.cell_outlines(replace(city, cells=replace(city.cells, azimuth_deg=np.full(4, 90.0))))[0]
        assert east[:, 0].max() > 100
        assert east[:, 0].min() == pytest.approx(100)
        assert np.ptp(indoor[:, 0]) == pytest.approx(np.ptp(indoor[:, 1]), rel=0.02)

    def test_a_second_carrier_of_a_sector_stays_visible(self) -> None:
        city = small_city()
        stacked = replace(city, cells=replace(city.cells, azimuth_deg=np.array([0.0, 0.0, 240.0, 0.0])))
        first, second = layers.cell_outlines(stacked)[:2]
        assert np.ptp(second[:, 1]) < np.ptp(first[:, 1])

    def test_cells_of_one_site_never_share_a_colour(self) -> None:
        assert len(set(layers.cell_colours(small_city()))) == 4

    def test_near_cells_differ_also_where_there_are_many(self) -> None:
        side = 12
        x, y = (axis.ravel() * 100.0 for axis in np.meshgrid(np.arange(side), np.arange(side)))
        n = side * side
        city = small_city()
        sites = replace(
            city.sites, name=tuple(map(str, range(n))), x_m=x, y_m=y, indoor=np.ones(n, bool), building=np.zeros(n, int)
        )
        cells = replace(city.cells, site=np.arange(n), azimuth_deg=np.zeros(n), pattern=("omni",) * n, name=sites.name)
        colour = np.array(layers.cell_colours(replace(city, sites=sites, cells=cells))).reshape(side, side)
        assert np.all(colour[1:] != colour[:-1])
        assert np.all(colour[:, 1:] != colour[:, :-1])


class TestUsers:
    def test_colour_tells_the_serving_cell(self) -> None:
        city = small_city()
        x, y = np.array([150.0, 30.0]), np.array([120.0, 280.0])
        figure = layers.layer_picture(city.frame, layers.users_layer(city, x, y, np.array([1, 3])))
        image = pixels(figure, transparent=True)
        assert near(colour_at(image, 150, 120), layers.cell_colours(city)[1], 12)
        assert near(colour_at(image, 30, 280), layers.cell_colours(city)[3], 12)
        assert colour_at(image, 10, 10)[3] == 0

    def test_who_has_no_cell_is_a_black_cross(self) -> None:
        city = small_city()
        lost = layers.users_layer(city, np.array([150.0]), np.array([120.0]), np.array([-1]))
        image = pixels(layers.layer_picture(city.frame, lost), transparent=True)
        assert near(colour_at(image, 150, 120), style.UNSERVED, 12)

    def test_idle_users_are_paler(self) -> None:
        city = small_city()
        x, y, cell = np.array([150.0, 30.0]), np.array([120.0, 280.0]), np.array([1, 1])
        busy = layers.users_layer(city, x, y, cell, np.array([True, False]))
        image = pixels(layers.layer_picture(city.frame, busy), transparent=True)
        assert colour_at(image, 150, 120)[3] > 1.5 * colour_at(image, 30, 280)[3] > 0


class TestRasters:
    def test_south_is_below_and_power_has_the_colours_of_its_legend(self) -> None:
        city = small_city()
        rsrp = np.full((30, 20), -60.0, np.float32)
        rsrp[:15] = -120.0
        image = pixels(layers.layer_picture(city.frame, layers.rsrp_layer(rsrp, 10.0)))
        stops = dict(layers.rsrp_stops(*layers.rsrp_range_dbm(rsrp)))
        assert near(colour_at(image, 100, 30), stops[-120.0])
        assert near(colour_at(image, 100, 270), stops[-60.0])

    def test_no_service_is_at_the_dark_end(self) -> None:
        city = small_city()
        rsrp = np.full((30, 20), -60.0, np.float32)
        rsrp[:15] = -np.inf
        rsrp[0] = -100
        image = pixels(layers.layer_picture(city.frame, layers.rsrp_layer(rsrp, 10.0)))
        assert near(colour_at(image, 100, 100), layers.rsrp_stops(*layers.rsrp_range_dbm(rsrp))[0][1])

    def test_best_server_has_the_colours_of_the_cells(self) -> None:
        city = small_city()
        best = np.full((30, 20), 2, np.int32)
        best[:15] = -1
        image = pixels(layers.layer_picture(city.frame, layers.server_layer(city, best, 10.0)))
        assert near(colour_at(image, 100, 250), layers.cell_colours(city)[2])
        assert near(colour_at(image, 100, 50), "#ffffff")

    @pytest.mark.parametrize("values", [np.full((4, 4), -np.inf), np.full((4, 4), -80.0), np.full((4, 4), -83.0)])
    def test_the_range_of_a_flat_map_is_not_empty(self, values: np.ndarray) -> None:
        low, high = layers.rsrp_range_dbm(values.astype(np.float32))
        assert high >= low + 10


def test_scale_bar_is_as_long_as_it_says() -> None:
    city = small_city()
    figure, axes, scale = layers.canvas(city.frame)
    layers.furniture(city.attribution)(axes, scale)
    x = axes.lines[0].get_xdata()
    texts = [text.get_text() for text in axes.texts]
    assert f"{np.ptp(x):g} m" in texts
    assert {"N", "© Mapmakers"} <= set(texts)
    assert figure.axes == [axes]


@pytest.mark.parametrize("shape", [(200.0, 300.0), (4000.0, 500.0), (100.0, 3000.0)])
def test_whole_pictures_of_any_shape(shape: tuple[float, float], tmp_path: Path) -> None:
    city = small_city()
    city = replace(city, frame=replace(city.frame, width_m=shape[0], depth_m=shape[1]))
    users, serving = crowd(shape[0])
    for name, figure in {
        "map.png": pictures.city_map(city, users, serving),
        "coverage.png": pictures.coverage_map(city, np.full((30, 20), -80.0, np.float32), 10.0),
        "server.png": pictures.server_map(city, np.zeros((30, 20), np.int32), 10.0),
    }.items():
        with Image.open(pictures.save(figure, tmp_path / name)) as image:
            assert image.size[1] > 190


def test_a_city_without_anything_is_drawn() -> None:
    city = small_city()
    none = np.zeros(0, int)
    bare = replace(
        city,
        sites=replace(city.sites, name=(), x_m=none, y_m=none, indoor=none.astype(bool), building=none),
        cells=replace(city.cells, name=(), site=none, azimuth_deg=none, pattern=()),
        buildings=replace(city.buildings, height_m=none, height_known=none, use=none, ring_start=np.zeros(1, int)),
    )
    users, _ = crowd()
    assert len(pictures.to_png(pictures.city_map(bare, users, np.full(30, -1, np.int32)))) > 1000


class TestCurves:
    def test_every_panel_has_a_raw_and_a_smooth_line_per_run(self) -> None:
        figure = pictures.kpi_curves([paper_run(), paper_run("proportional-fair", 2.0)])
        assert [len(axes.lines) for axes in figure.axes] == [4] * len(curves.CURVES)
        throughput = figure.axes[0]
        assert np.mean(throughput.lines[3].get_ydata()) == pytest.approx(8.0, rel=0.01)
        assert throughput.get_ylabel() == "Mbit/s"
        assert throughput.get_ylim()[0] == 0

    def test_runs_differ_without_colour(self) -> None:
        assert len({str(style.run_dash(row)) for row in range(6)}) == 6

    def test_a_running_mean_keeps_a_constant_and_skips_gaps(self) -> None:
        values = np.full(50, 3.0)
        values[10:12] = np.nan
        assert np.allclose(curves.running_mean(values, 30), 3.0)
        assert np.isnan(curves.running_mean(np.full(5, np.nan), 3)).all()

    def test_a_short_run_is_not_stretched(self) -> None:
        assert len(curves.running_mean(np.array([1.0, 2.0]), 30)) == 2

    def test_a_week_has_no_more_points_than_a_page_shows(self) -> None:
        week = {"time_s": np.arange(604_800), "X.ThroughputDl": np.ones(604_800)}
        axes = curves.kpi_curve({"run": week}, "X.ThroughputDl").axes[0]
        assert all(1000 <= len(np.asarray(line.get_xdata())) <= curves.MOST_POINTS for line in axes.lines)

    def test_the_distribution_starts_at_the_share_without_service(self) -> None:
        rates = np.r_[np.zeros(25), np.full(75, 1e6)]
        line = curves.rate_curves({"run": rates}).axes[0].lines[0]
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert np.interp(2e5, x[1:], y[1:]) == pytest.approx(25, abs=1)
        assert y[-1] == 100

    @pytest.mark.parametrize("rates", [np.zeros(0), np.zeros(5), np.array([3e6])])
    def test_a_distribution_of_little(self, rates: np.ndarray) -> None:
        assert len(pictures.to_svg(curves.rate_curves({"run": rates}), name="x", label="x")) > 500

    def test_only_active_users_count(self) -> None:
        figure = pictures.rate_cdf([paper_run()])
        assert np.asarray(figure.axes[0].lines[0].get_ydata())[1] == pytest.approx(100 / 118, abs=0.1)


class TestSvg:
    def test_text_stays_text_and_colours_follow_the_page(self) -> None:
        svg = pictures.to_svg(pictures.kpi_curves([paper_run()]), name="c", label='Up & "down"')
        root = ElementTree.fromstring(svg)
        assert root.get("aria-label") == 'Up & "down"'
        assert "Mbit/s" in " ".join(root.itertext())
        assert f"var(--run-0,{style.RUN_COLOURS[0]})" in svg
        assert "DejaVu" not in svg

    def test_two_on_a_page_do_not_clash(self) -> None:
        one, two = (pictures.to_svg(curves.rate_curves({"r": np.array([1e6])}), name=n, label=n) for n in ("a", "b"))
        ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (one, two)]
        assert ids[0]
        assert not ids[0] & ids[1]
        for svg, known in zip((one, two), ids, strict=True):
            assert set(re.findall(r'(?:url\(|href=")#([^")]*)', svg)) <= known

    def test_the_same_figure_gives_the_same_bytes(self) -> None:
        one, two = (pictures.to_svg(pictures.kpi_curves([paper_run()]), name="c", label="x") for _ in range(2))
        assert one == two


def test_drawing_leaves_no_global_state() -> None:
    program = (
        "import sys, numpy as np; from mndt.pictures import curves, to_svg;"
        "to_svg(curves.rate_curves({'r': np.array([1e6])}), name='x', label='x');"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class TestBands:
    def test_a_band_lies_from_its_beginning_to_its_end(self) -> None:
        band = Band(8 * 3600 + 60, 8 * 3600 + 90, 8 * 3600 + 120, "A", "power cut")
        axes = curves.kpi_curve({"run": paper_run().kpis.values}, "X.ThroughputDl", [band]).axes[0]
        spans = [patch.get_bbox().intervalx.tolist() for patch in axes.patches]
        assert spans == [[28860, 28920], [28890, 28920], [28860, 28920]]  # shade, its darker part, the strip above
        assert [text.get_text() for text in axes.texts] == ["A power cut"]
        assert axes.get_xlim() == (28800, 28980)

    def test_a_narrow_one_has_its_letter_only_and_one_outside_nothing(self) -> None:
        narrow, later = Band(28810, 28815, 28815, "A", "power cut"), Band(40000, 40060, 40060, "B", "power cut")
        axes = curves.kpi_curve({"run": paper_run().kpis.values}, "X.ThroughputDl", [narrow, later]).axes[0]
        assert [text.get_text() for text in axes.texts] == ["A"]
        assert len(axes.patches) == 2

    def test_a_remark_is_the_first_to_go(self) -> None:
        long, short = (Band(b, e, e, "A", "surge", "(in one run)") for b, e in ((28800, 28980), (28800, 28830)))
        for band, text in ((long, "A surge (in one run)"), (short, "A surge")):
            axes = curves.kpi_curve({"run": paper_run().kpis.values}, "X.ThroughputDl", [band]).axes[0]
            assert [t.get_text() for t in axes.texts] == [text]

    def test_what_overlaps_stands_in_other_lanes(self) -> None:
        crowd_of = [Band(k, 100 + k, 100 + k, "A", "surge") for k in range(6)]
        assert lanes(crowd_of, 0.05) == [0, 1, 2, 3, 4, 5]
        axes = curves.kpi_curve({"run": {"time_s": np.arange(200), "X.SumRate": np.ones(200)}}, "X.SumRate", crowd_of)
        assert len(axes.axes[0].texts) == 4

    def test_a_run_without_the_kpi_has_no_line_and_keeps_the_others_colours(self) -> None:
        known = paper_run().kpis.values
        old = {name: values for name, values in known.items() if name != "PEE.AvgPower"}
        (axes,) = curves.kpi_curve({"old": old, "new": known}, "PEE.AvgPower").axes
        assert [line.get_color() for line in axes.lines] == [style.run_colour(1)] * 2


class TestAreas:
    def test_areas_are_shaded_by_their_figure(self) -> None:
        city = small_city()
        of_house = replace(city.areas, use=np.zeros(2, int), building=np.array([-1, 1]), x_m=np.zeros(2))
        two = replace(of_house, y_m=np.zeros(2), size_m2=np.ones(2), point_start=np.array([0, 3, 3]))
        city = replace(city, areas=two)
        image = pixels(
            layers.layer_picture(city.frame, areas.areas_layer(city, np.array([0.0, 4.0]), 4.0)), transparent=True
        )
        assert near(colour_at(image, 140, 230), areas.stops()[-1], 12)
        assert colour_at(image, 160, 30)[3] == 0  # the park has none
        assert colour_at(image, 30, 30)[3] == 0  # nor has the house
        image = pixels(
            layers.layer_picture(city.frame, areas.areas_layer(city, np.array([1.0, 0.0]), 4.0)), transparent=True
        )
        assert colour_at(image, 160, 30)[3] > 150
        assert colour_at(image, 140, 230)[3] == 0

    def test_the_legend_is_the_scale(self) -> None:
        shade = areas.SHADES(PowerNorm(areas.BEND, 0, 8.0)(areas.stop_value(0.5, 8.0)))
        assert to_hex(shade) == areas.stops(3)[1]


class TestScaling:
    FIGURES: ClassVar = {
        **{f"steps_per_s_{n}x184": 1e6 / n**1.05 for n in (3250, 13_000, 100_000)},
        **{f"steps_per_s_13000x{n}": 1e6 / 13_000**1.05 * (184 / n) ** 0.8 for n in (64, 184, 1000)},
        "steps_per_s_100000": 5.6, "exponent_users": 1.05, "exponent_cells": 0.8, "look_up_links_per_s": 1e9,
    }  # fmt: skip

    def test_lines_have_the_fitted_slopes_and_pass_through_the_points(self) -> None:
        figure = scaling.scaling(self.FIGURES)
        for axes, exponent in zip(figure.axes, (1.05, 0.8), strict=True):
            proportional, fitted, measured = ((line.get_xdata(), line.get_ydata()) for line in axes.lines)
            for (x, y), slope in ((proportional, 1.0), (fitted, exponent)):
                assert np.diff(np.log(y))[0] / np.diff(np.log(x))[0] == pytest.approx(slope)
            assert np.interp(np.log(measured[0]), *map(np.log, fitted)) == pytest.approx(np.log(measured[1]))
            assert f"exponent {exponent:.2f}" in axes.get_title(loc="left")
        assert [axes.get_xlabel() for axes in figure.axes] == ["users, at 184 cells", "cells, at 13,000 users"]

    def test_it_is_written_whole(self, tmp_path: Path) -> None:
        path = scaling.save_scaling(self.FIGURES, tmp_path / "growth.png")
        with Image.open(path) as image:
            assert image.size == (1500, 585)
        assert list(tmp_path.iterdir()) == [path]

    def test_too_few_sizes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="two numbers of users and of cells"):
            scaling.save_scaling({"steps_per_s_13000x184": 100.0, "exponent_users": 1.0}, tmp_path / "growth.png")
        assert not list(tmp_path.iterdir())

    def test_the_command_draws_what_it_measured(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(bench_step, "run", lambda **_: Result("step", self.FIGURES))
        answer = CliRunner().invoke(main, ["bench", "step", "--plot", str(tmp_path / "growth.png"), "--json"])
        assert answer.exit_code == 0, answer.output
        assert (tmp_path / "growth.png").stat().st_size > 10_000
        assert json.loads(answer.stdout.splitlines()[-1])["figures"]["exponent_users"] == 1.05

    @pytest.mark.parametrize("wrong", [["--quick"], ["--moving", "0.1"], ["--quick", "--moving", "0.5"]])
    def test_the_command_refuses_before_it_measures(self, wrong: list[str], tmp_path: Path) -> None:
        answer = CliRunner().invoke(main, ["bench", "step", "--plot", str(tmp_path / "growth.png"), *wrong])
        assert answer.exit_code == 2
        assert "leave out --quick and --moving" in answer.output

    @pytest.mark.parametrize("name", ["growth.svg", "nowhere/growth.png"])
    def test_the_command_refuses_a_place_it_cannot_write(self, name: str, tmp_path: Path) -> None:
        answer = CliRunner().invoke(main, ["bench", "step", "--plot", str(tmp_path / name)])
        assert answer.exit_code == 2
        assert "a file .png in a folder that exists" in answer.output
