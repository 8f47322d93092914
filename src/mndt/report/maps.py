"""The maps of the page: bare layers as pictures, cells on top as shapes that answer to the mouse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.report import incidents
from mndt.report.view import RunView, View

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.report.coverage import Coverage

Array = np.ndarray

THRESHOLDS_DBM: Final = (-80.0, -90.0, -100.0, -110.0)
"""Levels over which the covered share of the area is told."""

TALL: Final = 1.15
"""A city this much taller than wide has its legend beside the map, any other below it."""


def city_values(view: View) -> dict[str, Any]:
    """What the map of the city and its users needs."""
    from mndt.pictures import layers, to_png_base64
    from mndt.pictures.style import CELL_COLOURS

    city, notes = view.city, incidents.notes(view)
    base = layers.layer_picture(city.frame, layers.ground(city))
    heights = [0, 10, 20, 30, int(layers.TALL_M)]
    frame = _frame(view)
    for row, note in notes.items():
        frame["shapes"][row]["label"] += f", {note}"
    return {
        "frame": frame,
        "attribution": city.attribution,
        "base": to_png_base64(base),
        "users": [_users(view, run) for run in view.runs],
        "kinds": _kinds(city),
        "palette": list(CELL_COLOURS),
        "park": layers.PARK,
        "has_parks": bool(layers.parks(city)),
        "heights": [(h, layers.height_colour(h)) for h in heights],
        "known_heights": int(city.buildings.height_known.sum()),
        "buildings": len(city.buildings),
        "hover": _hover(view, notes),
        "outs": [frame["shapes"][row] for row in sorted(notes)],
        "circles": incidents.circles(view),
        "letter_m": round(1.5 * layers.symbol_radius_m(city.frame.width_m, city.frame.depth_m), 1),
    }


def _users(view: View, run: RunView) -> dict[str, Any]:
    from mndt.pictures import layers, to_png_base64
    from mndt.pictures.curves import clock

    city, now = view.city, run.snapshot
    here = now["mode"] >= 0
    active = np.asarray(now["X.Active"], bool)[here]
    serving = np.where(active & ~np.asarray(now["connected"], bool)[here], -1, now["serving"][here])
    serving = np.where(~active & (serving < 0), -2, serving)  # idle and camping nowhere: nobody's loss
    drawn = serving != -2
    fig = layers.layer_picture(
        city.frame,
        layers.users_layer(city, now["x_m"][here][drawn], now["y_m"][here][drawn], serving[drawn], active[drawn]),
    )
    return {
        "name": run.name,
        "picture": to_png_base64(fig, transparent=True),
        "time": clock(run.snapshot_s + 1),
        "present": int(here.sum()),
        "active": int(active.sum()),
        "lost": int((serving == -1).sum()),
    }


def coverage_values(view: View, coverage: Coverage) -> dict[str, Any]:
    """What the map of coverage needs."""
    from mndt.pictures import layers, to_png_base64
    from mndt.pictures.words import digits

    city, cell_m = view.city, coverage.cell_m
    lines = layers.outlines(city, "#00000073")
    power = layers.layer_picture(city.frame, layers.rsrp_layer(coverage.rsrp_dbm, cell_m), lines)
    server = layers.layer_picture(city.frame, layers.server_layer(city, coverage.best_cell, cell_m), lines)
    places = (("whole area", None), ("outdoors", ~coverage.indoor), ("in buildings", coverage.indoor))
    shares = [(level, [100 * coverage.share_above(level, where) for _, where in places]) for level in THRESHOLDS_DBM]
    block_hz = np.unique(city.cells.block_hz)
    return {
        "frame": _frame(view),
        "attribution": city.attribution,
        "power": to_png_base64(power),
        "server": to_png_base64(server),
        "stops": layers.rsrp_stops(*layers.rsrp_range_dbm(coverage.rsrp_dbm)),
        "places": [name for name, _ in places],
        "shares": shares,
        "median": digits(_median(coverage.rsrp_dbm)),
        "median_outdoors": digits(_median(coverage.rsrp_dbm[~coverage.indoor])),
        "median_indoors": digits(_median(coverage.rsrp_dbm[coverage.indoor])),
        "block_khz": " or ".join(f"{hz / 1e3:g}" for hz in block_hz),
        "element_db": f"{10 * np.log10(block_hz[0] / 15e3):.1f}",
        "cell_m": f"{cell_m:g}",
        "user_height_m": f"{view.runs[0].run.scenario.radio.user_height_m:g}",
    }


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _frame(view: View) -> dict[str, Any]:
    from mndt.pictures import layers, to_png_base64

    city = view.city
    width, depth = city.frame.width_m, city.frame.depth_m
    furniture = layers.layer_picture(city.frame, layers.furniture(city.attribution))
    return {
        "city": city.name,
        "width": round(width, 1),
        "depth": round(depth, 1),
        "tall": depth > TALL * width,
        "shapes": _shapes(city),
        "furniture": to_png_base64(furniture, transparent=True),
        "stroke": round(0.0012 * float(np.sqrt(width * depth)), 2),
        "names": view.names,
    }


def _shapes(city: City) -> list[dict[str, Any]]:
    """Every cell's symbol as an SVG path in metres, y downwards."""
    from mndt.pictures import layers

    drawn = zip(layers.cell_outlines(city), layers.cell_colours(city), city.cells.name, strict=True)
    return [
        {
            "path": _path(xy, city.frame.depth_m),
            "cross": _cross(xy, city),
            "colour": colour,
            "label": f"{name}, {kind(city, row)}",
        }
        for row, (xy, colour, name) in enumerate(drawn)
    ]


def _path(xy: Array, depth_m: float) -> str:
    return "M" + "L".join(f"{x:.1f} {depth_m - y:.1f}" for x, y in xy) + "Z"


def _cross(xy: Array, city: City) -> str:
    """An X over the symbol of a cell, as an SVG path."""
    from mndt.pictures import layers

    x, y = xy.mean(axis=0)
    arm = 0.32 * layers.symbol_radius_m(city.frame.width_m, city.frame.depth_m)
    left, top, side = x - arm, city.frame.depth_m - y - arm, 2 * arm
    return f"M{left:.1f} {top:.1f}l{side:.1f} {side:.1f}m0 {-side:.1f}l{-side:.1f} {side:.1f}"


def kind(city: City, cell: int) -> str:
    """A cell in three words.

    Args:
        city: where.
        cell: row of its cells.
    """
    if city.sites.indoor[city.cells.site[cell]]:
        return "indoor"
    if city.cells.pattern[cell] == "omni":
        return "outdoor, omnidirectional"
    return f"outdoor, {city.cells.azimuth_deg[cell]:.0f}°"


def _kinds(city: City) -> set[str]:
    """Which symbols of cells the map shows."""
    indoor = city.sites.indoor[city.cells.site]
    return {
        "indoor" if inside else "omni" if pattern == "omni" else "sector"
        for pattern, inside in zip(city.cells.pattern, indoor, strict=True)
    }


def _hover(view: View, notes: dict[int, str]) -> str:
    """Figures of every cell for the small window at the mouse, as JSON that may stand in a script element."""
    city = view.city
    known = [c for c in _HOVER_COLUMNS if any(np.isfinite(run.per_cell[c[0]]).any() for run in view.runs)]
    cells = [
        {
            "name": city.cells.name[row],
            "site": city.sites.name[city.cells.site[row]],
            "kind": kind(city, row),
            "note": notes.get(row, ""),
            "runs": [[_rounded(float(run.per_cell[key][row]) * scale) for key, scale, _ in known] for run in view.runs],
        }
        for row in range(len(city.cells))
    ]
    values = {"runs": view.names, "labels": [label for _, _, label in known], "cells": cells}
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _rounded(value: float) -> float | None:
    return round(value, 2) if np.isfinite(value) else None


_HOVER_COLUMNS: Final = (
    ("block_use", 1.0, "blocks in use (%)"),
    ("connected", 1.0, "users connected"),
    ("rate_bps", 1e-6, "delivered (Mbit/s)"),
    ("below_share", 1.0, "below minimum (%)"),
    ("consumed_w", 1.0, "consumed (W)"),
)
