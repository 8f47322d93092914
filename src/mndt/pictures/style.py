"""One look for every picture: colours, type, and the ways a figure leaves the house.

Figures are built as `matplotlib.figure.Figure` objects without pyplot, so nothing global is kept
and nothing has to be closed. Colours are safe for the common colour vision deficiencies; lines
also differ in their dashes so that a grey print still reads.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK: Final = "#1b2026"
MUTED: Final = "#69727d"
GRID: Final = "#dfe3e8"

RUN_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#a3559b", "#8a6d00", "#4d5a66")
"""Colours of runs, in their order (Okabe and Ito, https://jfly.uni-koeln.de/color/, the last three darkened)."""

RUN_DASHES: Final = ("solid", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 1)))

CELL_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8833")
"""Colours of cells (Paul Tol's bright scheme, https://sronpersonalpages.nl/~pault/, and orange)."""

BAND: Final = "#c98a00"
"""Shade of stretches of time in which something happens."""

UNSERVED: Final = "#000000"
HALO: Final = "#ffffff"

DPI: Final = 200
"""Pixels per inch of map pictures: about twice what a page shows."""

FONT: Final = "DejaVu Sans"  # ships with matplotlib, so pictures look alike on every machine

RC: Final[Any] = {
    "font.family": FONT,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and takes the page's typeface
    "svg.hashsalt": "mndt",
    "path.simplify": True,
}

# Inline SVG follows the page's light and dark mode: its colours become CSS variables with a fallback.
_VARIABLES: Final = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    BAND: "band",
    **{colour: f"run-{row}" for row, colour in enumerate(RUN_COLOURS)},
}


def run_colour(row: int) -> str:
    """Colour of the run in this row of a comparison.

    >>> run_colour(0)
    '#0072b2'
    """
    return RUN_COLOURS[row % len(RUN_COLOURS)]


def run_dash(row: int) -> Any:
    """Line style of the run in this row of a comparison."""
    return RUN_DASHES[row % len(RUN_DASHES)]


def quiet_axes(axes: Axes) -> None:
    """Horizontal grid only, no frame, small muted figures: the data is the darkest thing."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0, pad=5)
    axes.tick_params(axis="x", length=3, color=GRID)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=MUTED, fontsize=9)


def to_png(fig: Figure, *, transparent: bool = False, palette: bool = True) -> bytes:
    """The figure as PNG bytes at its own resolution, with a palette of 256 colours.

    Args:
        fig: any figure of this package.
        transparent: keep the ground see-through, for layers that lie over another picture.
        palette: False keeps every colour, where many shades have to be told apart; three times the size.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(fig)
    if transparent:
        fig.patch.set_alpha(0.0)
    with mpl.rc_context(RC):
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels)
    if not palette:
        return _png(image.convert("RGBA" if transparent else "RGB"))
    # Flat map colours need no 16 million shades: a palette makes the file about three times smaller.
    small = (
        image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        if transparent
        else image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    )
    return _png(small)


def pixels_png(pixels: np.ndarray) -> bytes:
    """An image of colours (rows, columns, RGBA) as PNG bytes, pixel by pixel."""
    from PIL import Image

    return _png(Image.fromarray(pixels))


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "png", compress_level=6)
    return out.getvalue()


def to_png_base64(fig: Figure, *, transparent: bool = False) -> str:
    """The figure as a `data:` address for the `src` of an HTML image."""
    return "data:image/png;base64," + base64.b64encode(to_png(fig, transparent=transparent)).decode("ascii")


def to_svg(fig: Figure, *, name: str, label: str) -> str:
    """The figure as an SVG element to be put into a page, with text as text.

    Its colours become CSS variables (`--ink`, `--muted`, `--grid`, `--run-0`, ...) whose fallbacks
    are the printed colours, so that a page can switch to dark mode.

    Args:
        fig: any figure of this package; best without dense layers.
        name: prefix of the ids inside, unique on the page.
        label: the text read aloud in place of the picture.
    """
    out = io.StringIO()
    with mpl.rc_context({**RC, "svg.hashsalt": name}):
        fig.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    text = re.sub(r"'?DejaVu Sans'?[^;\"]*", "inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable},{colour})")
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" {_SVG_ATTRIBUTES}>', text, count=1)
    return text.replace("@label", _escape(label), 1).strip()


_SVG_ATTRIBUTES: Final = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="@label"'
)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def save(fig: Figure, path: str | Path) -> Path:
    """Write the figure to a file; the ending decides the format (png, svg, pdf, ...)."""
    path = Path(path)
    with mpl.rc_context(RC):
        fig.savefig(path, dpi=fig.dpi, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path
