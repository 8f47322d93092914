"""Curves: KPIs over time and distributions over users, one line per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from mndt.pictures.bands import Band, draw_bands
from mndt.pictures.style import GRID, INK, MUTED, quiet_axes, run_colour, run_dash
from mndt.pictures.tables import Table
from mndt.pictures.words import shown

Array = np.ndarray

SMOOTH_S: Final = 30
"""Seconds over which the bold lines are averaged; the thin ones are raw."""

MOST_POINTS: Final = 2000
"""Points of a curve; more than a page has pixels would only make it heavy."""

CURVES: Final = ("X.ThroughputDl", "X.SatisfiedShare", "X.OutageRatio", "DRB.MeanActiveUeDl")
"""What is shown over time."""

UNITS: Final = {"DRB.MeanActiveUeDl": "users", "X.Handovers": "per second"}
"""What stands at the axis of KPIs that are plain numbers over a run."""

RATE_RANGE_BPS: Final = (1e4, 1e9)
"""Ends of the axis of rates when nobody has any."""

LEAST_RATE_BPS: Final = 1e3
"""Rates below are no service: their share is where the curves begin."""


class RunTables(Protocol):
    """What curves need of a run: `mndt.runs.Run` has it."""

    @property
    def name(self) -> str:
        """Short, for the legend."""

    @property
    def kpis(self) -> Table:
        """Totals of the network, one row a second."""

    @property
    def users(self) -> Table:
        """Everyone, once a minute."""


def kpi_curves(runs: Sequence[RunTables], columns: Sequence[str] = CURVES) -> Figure:
    """KPIs over time, one panel per column, one line per run."""
    totals = {run.name: run.kpis.fetchnumpy() for run in runs}
    rows = -(-len(columns) // 2)
    fig = Figure(figsize=(10.0, 2.9 * rows), layout="constrained", facecolor="white")
    for place, column in enumerate(columns, start=1):
        draw_curve(fig.add_subplot(rows, min(2, len(columns)), place), totals, column)
    fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(runs), frameon=False)
    return fig


def kpi_curve(totals: dict[str, dict[str, Array]], column: str, bands: Sequence[Band] = ()) -> Figure:
    """One KPI over time.

    Args:
        totals: name of a run -> its table of totals with `time_s`; one without the KPI has no line.
        column: which KPI.
        bands: stretches of time to shade.
    """
    fig = Figure(figsize=(6.2, 2.7), layout="constrained", facecolor="white")
    draw_curve(fig.add_subplot(), totals, column, bands, titled=False)
    return fig


def draw_curve(
    axes: Axes,
    totals: dict[str, dict[str, Array]],
    column: str,
    bands: Sequence[Band] = (),
    *,
    titled: bool = True,
) -> None:
    """Raw values thin, their running mean bold; the time of day below."""
    look = shown(column)
    highest = 0.0
    for row, (name, table) in enumerate(totals.items()):
        if column not in table:
            continue
        time_s, values = np.asarray(table["time_s"]), np.asarray(table[column], dtype=np.float64) * look.scale
        if column == "X.SatisfiedShare":
            values, mean = satisfied(table, 1) * look.scale, satisfied(table, SMOOTH_S) * look.scale
        else:
            mean = running_mean(values, SMOOTH_S)
        step = -(-len(time_s) // MOST_POINTS)  # of a long run every so many seconds
        axes.plot(time_s[::step], values[::step], color=run_colour(row), linewidth=0.6, alpha=0.28)
        axes.plot(
            time_s[::step], mean[::step], color=run_colour(row), linewidth=2.0, linestyle=run_dash(row), label=name
        )
        highest = max(highest, float(np.nanmax(values, initial=0.0)))
    quiet_axes(axes)
    axes.set_xlim(*_span_s(totals))
    # From zero, so that heights compare; a share ends at 100 % unless it stays far below.
    axes.set_ylim(0, 100 if look.unit == "%" and highest > 50 else (highest * 1.08 or 1))
    axes.xaxis.set_major_locator(_minutes(totals))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("time of day")
    axes.set_ylabel(look.unit or UNITS.get(column, ""))
    draw_bands(axes, bands)
    if titled:
        axes.set_title(look.label, loc="left", fontsize=10, color=INK)


def _span_s(totals: dict[str, dict[str, Array]]) -> tuple[float, float]:
    """From the first second to the end of the last, over all runs; ten seconds at least."""
    first = min(float(table["time_s"][0]) for table in totals.values())
    return first, max(first + 10.0, *(float(table["time_s"][-1]) + 1.0 for table in totals.values()))


def _minutes(totals: dict[str, dict[str, Array]]) -> MultipleLocator:
    first_s, end_s = _span_s(totals)
    return time_ticks(end_s - first_s)


def time_ticks(span_s: float) -> MultipleLocator:
    """Round times of day, seven at most over a span."""
    steps_s = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
    return MultipleLocator(next((step for step in steps_s if span_s / step <= 7), steps_s[-1]))


def running_mean(values: Float[Array, "seconds"], width: int) -> Float[Array, "seconds"]:
    """Centred mean over `width` values, over those that exist at the ends and where some are not finite.

    >>> running_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist()
    [1.5, 3.0, 6.0, 7.5]
    """
    known = np.isfinite(values)
    window = np.ones(min(width, max(1, len(values))))
    total = np.convolve(np.where(known, values, 0.0), window, mode="same")
    count = np.convolve(known.astype(np.float64), window, mode="same")
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
    return mean


def satisfied(table: dict[str, Array], width: int) -> Float[Array, "seconds"]:
    """Bits delivered per bit offered in a running window: what the share over a whole run means, over time.

    The table's own column divides each second by everything that waits, so that one bit counts again in
    every second it waits. Above 1 where a backlog is worked off.

    >>> table = {"X.ThroughputDl": np.array([0.0, 4.0]), "X.OfferedDl": np.array([4.0, 4.0])}
    >>> satisfied(table, 2).tolist(), satisfied(table, 1).tolist()
    ([0.0, 0.5], [0.0, 1.0])
    """
    delivered, offered = (
        running_mean(np.asarray(table[name], dtype=np.float64), width) for name in ("X.ThroughputDl", "X.OfferedDl")
    )
    share: Array = np.divide(delivered, offered, out=np.full(len(offered), np.nan), where=offered > 0)
    return share


def clock(second: float) -> str:
    """Time of day of a second since midnight.

    >>> clock(8 * 3600 + 90)
    '08:01:30'
    """
    minutes, seconds = divmod(round(second), 60)
    text = f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
    return f"{text}:{seconds:02d}" if seconds else text


def rate_cdf(runs: Sequence[RunTables]) -> Figure:
    """Cumulative distribution of the rate of active users, over all snapshots of each run."""
    return rate_curves({run.name: active_rates_bps(run.users.fetchnumpy()) for run in runs})


def active_rates_bps(users: dict[str, Array]) -> Float[Array, "samples"]:
    """Rates of all users that were active in a snapshot; 0 for those without a block."""
    rates: Array = np.asarray(users["X.UserRate"], dtype=np.float64)
    active: Array = rates[np.asarray(users["X.Active"], dtype=bool)]
    return active


def rate_curves(rates_bps: dict[str, Float[Array, "samples"]]) -> Figure:
    """Share of samples at or below a rate, on a logarithmic axis; what lies below it starts at the left."""
    fig = Figure(figsize=(6.4, 3.1), layout="constrained", facecolor="white")
    axes = fig.add_subplot()
    positive = np.concatenate([r[r > 0] for r in rates_bps.values()]) if rates_bps else np.zeros(0)
    low, high = RATE_RANGE_BPS if not len(positive) else (np.percentile(positive, 0.5), np.percentile(positive, 99.9))
    low = max(LEAST_RATE_BPS, float(10.0 ** np.floor(np.log10(0.999 * low))))
    high = max(10.0 * low, float(10.0 ** np.ceil(np.log10(high * 1.0001))))
    for row, (name, rates) in enumerate(rates_bps.items()):
        ordered = np.sort(rates)
        # At most 600 points: the curve does not change to the eye and the page stays small.
        at = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 600)).astype(np.int64))
        x = np.maximum(ordered[at], low)
        y = 100.0 * (at + 1) / max(1, len(ordered))
        axes.step([low, *x, max(high, *x)] if len(x) else [], [0, *y, 100] if len(x) else [], where="post", label=name)
        axes.lines[-1].set(color=run_colour(row), linestyle=run_dash(row), linewidth=2.0)
    quiet_axes(axes)
    axes.set_xscale("log")
    axes.set(xlim=(low, high), ylim=(0, 100))
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rate_text(value)))
    axes.minorticks_off()
    axes.set_xlabel("rate of an active user", color=MUTED)
    axes.set_ylabel("share of active users at or below (%)", color=MUTED)
    return fig


def rate_text(rate_bps: float) -> str:
    """A rate in its natural unit.

    >>> rate_text(2.5e6), rate_text(100e3)
    ('2.5 Mbit/s', '100 kbit/s')
    """
    for scale, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if rate_bps >= scale * 0.9999:
            return f"{rate_bps / scale:.3g} {unit}"
    return f"{rate_bps:.3g} bit/s"
