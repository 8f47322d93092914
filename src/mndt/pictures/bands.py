"""Bands: stretches of time shaded behind curves, named in lanes above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mndt.pictures.style import BAND, FONT, INK

LANES: Final = 4
"""Bands that can be told apart side by side; further ones are shaded only."""

_LANE: Final = 0.085  # height of a lane in heights of the axes
_CHARACTER_IN: Final = 0.066  # width of a letter of the names, in inches
_FONT_PT: Final = 7.5
_PLOT: Final = 0.88  # of a figure's width is the axes'


@dataclass(frozen=True)
class Band:
    """A stretch of time; its second part, from `dark_s` on, is shaded more."""

    begin_s: float
    dark_s: float
    end_s: float
    sign: str  # a letter or two
    name: str  # some words, shown where there is room
    remark: str = ""  # more words, where there is still room


def draw_bands(axes: Axes, bands: Sequence[Band]) -> None:
    """Shade the bands behind what the axes show, whose limits of time must be set already."""
    left, right = axes.get_xlim()
    inches_per_s = axes.figure.bbox.width / axes.figure.dpi * _PLOT / max(right - left, 1e-9)
    seen = [band for band in bands if band.end_s > left and band.begin_s < right]
    for band, lane in zip(seen, lanes(seen, inches_per_s), strict=True):
        begin_s, end_s = max(band.begin_s, left), min(band.end_s, right)
        axes.axvspan(begin_s, end_s, color=BAND, alpha=0.07, linewidth=0, zorder=0)
        if band.dark_s < end_s:
            axes.axvspan(max(band.dark_s, left), end_s, color=BAND, alpha=0.08, linewidth=0, zorder=0)
        if lane < LANES:
            _name(axes, band, (begin_s, end_s), 1.02 + lane * _LANE, inches_per_s)


def lanes(bands: Sequence[Band], inches_per_s: float) -> list[int]:
    """The lowest lane that is free for each band, its sign included.

    >>> a, b, c = (Band(x, x + 60, x + 60, "A", "fair") for x in (0, 30, 120))
    >>> lanes([a, b, c], 0.1)
    [0, 1, 0]
    """
    free_s: list[float] = []
    found = []
    for band in bands:
        sign_s = (len(band.sign) + 1) * _CHARACTER_IN / max(inches_per_s, 1e-9)
        lane = next((row for row, since in enumerate(free_s) if since <= band.begin_s), len(free_s))
        free_s[lane : lane + 1] = [max(band.end_s, band.begin_s + sign_s)]
        found.append(lane)
    return found


def _name(axes: Axes, band: Band, span_s: tuple[float, float], bottom: float, inches_per_s: float) -> None:
    """A strip over the band, with as much of its name as fits."""
    begin_s, end_s = span_s
    across = axes.get_xaxis_transform()
    strip = Rectangle(
        (begin_s, bottom), end_s - begin_s, 0.8 * _LANE, transform=across, facecolor=BAND, alpha=0.35, linewidth=0,
        clip_on=False,
    )  # fmt: skip
    axes.add_patch(strip)
    texts = (f"{band.sign} {band.name} {band.remark}".strip(), f"{band.sign} {band.name}", band.sign)
    room = (end_s - begin_s) * inches_per_s / _CHARACTER_IN
    text = next((text for text in texts if len(text) < room), band.sign)
    axes.text(
        begin_s + 0.3 * _CHARACTER_IN / inches_per_s, bottom + 0.4 * _LANE, text,
        transform=across, fontsize=_FONT_PT, fontfamily=FONT, color=INK, va="center_baseline", ha="left",
    )  # fmt: skip
