"""`mndt validate tr38901`: our propagation laws on 3GPP's own large-scale calibration, beside the companies' curves.

UMa and UMi street canyon at 6, 30 and 70 GHz are dropped as clause 7.8.1 asks (`_calibration_drop`); coupling loss,
SINR and SIR of the serving sectors are compared with what some twenty companies reported in R1-165974: are our
percentiles 5, 10, 25, 50, 75, 90 and 95 between their smallest and largest, and how far from their median?
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64

from mndt.checks._calibration_drop import CARRIERS, EDITION_2016, TR_38901, Edition, Measured, drop
from mndt.checks.output import Figure, Result, aligned
from mndt.checks.reference_data import reference_file
from mndt.errors import InputError
from mndt.parallel import track
from mndt.streams import Streams

Array = np.ndarray

PERCENT: Final = (5, 10, 25, 50, 75, 90, 95)
MIDDLE: Final = PERCENT.index(50)
DROPS, QUICK_DROPS = 200, 60
FILE: Final = "tr38901_phase1_reference.json"
NAMES: Final = {"coupling_loss": "coupling", "geometry_sinr": "sinr", "wideband_sir": "sir"}


@dataclass(frozen=True)
class Curve:
    """Ours and the companies' at the seven percentiles of one quantity in one scenario, in dB."""

    scenario: str
    carrier_ghz: float
    quantity: str  # a field of `Measured`
    ours: Float64[Array, "7"]
    middle: Float64[Array, "7"]  # median of the companies
    least: Float64[Array, "7"]
    most: Float64[Array, "7"]

    @property
    def error(self) -> Float64[Array, "7"]:
        """Ours minus the companies' median."""
        return np.asarray(self.ours - self.middle)

    @property
    def inside(self) -> Bool[Array, "7"]:
        """Between the smallest and the largest company."""
        return np.asarray((self.ours >= self.least) & (self.ours <= self.most))

    @property
    def key(self) -> str:
        """Its name among the figures: uma_6_sir."""
        return f"{self.scenario}_{self.carrier_ghz:.0f}_{NAMES[self.quantity]}".lower()


def run(*, data: Path | None = None, drops: int | None = None, quick: bool = False) -> Result:
    """Drop all scenarios and compare.

    Args:
        data: folder of the reference data; None = the one that MNDT_DATA names.
        drops: how many of 570 users each; None = 200, or 60 with `quick`.
        quick: fewer drops.

    Returns:
        `curves_inside` and `points_inside` with their totals; `worst_median_error_db`, the largest difference of a
        50 % point of ours to the companies' median there; `worst_typical_error_db`, the same of the median of a
        curve's seven differences, which a flat middle of a curve does not blow up.

    Raises:
        InputError: no reference data, a file without the curves, or no drop.
    """
    n = (QUICK_DROPS if quick else DROPS) if drops is None else drops
    if n < 1:
        raise InputError("seeds", n, allowed="1 or more", fix=f"{DROPS} settle the percentiles to about 0.1 dB")
    reference = read_reference(reference_file(FILE, data))
    curves = [curve for scenario in CARRIERS for curve in compared(scenario, TR_38901, n, reference)]
    older = list(compared("UMa", EDITION_2016, n, reference))
    return Result(
        "tr38901", figures_of(curves, older, n), seeds=list(range(n)), table=_table(curves), note=_note(older)
    )


def read_reference(path: Path) -> dict[str, Any]:
    """The scenarios of the reference file.

    Raises:
        InputError: it is not the file of that name.
    """
    try:
        scenarios: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["scenarios"]
        for scenario, carriers in CARRIERS.items():
            for carrier in carriers:
                for quantity in Measured._fields:
                    _at_percent(scenarios[f"{scenario}-{carrier.ghz:.0f}GHz"][quantity], "median")
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        allowed = "percentiles of coupling loss, SINR and SIR in six scenarios"
        raise InputError(path.name, "something else", allowed=allowed, fix="fetch the file again") from wrong
    return scenarios


def _at_percent(metric: dict[str, list[float]], row: str) -> Float64[Array, "7"]:
    at = [metric["percentiles"].index(float(percent)) for percent in PERCENT]
    return np.array([metric[row][i] for i in at], dtype=np.float64)


def compared(scenario: str, edition: Edition, n_drops: int, reference: dict[str, Any]) -> Iterator[Curve]:
    """The nine curves of one scenario."""
    dropped: dict[tuple[float, str], list[Array]] = {}
    for seed in track(range(n_drops), scenario, total=n_drops):
        for carrier, found in drop(scenario, Streams(seed).generator("tr38901"), edition):
            for quantity, values in found._asdict().items():
                dropped.setdefault((carrier.ghz, quantity), []).append(values)
    for (carrier_ghz, quantity), parts in dropped.items():
        metric = reference[f"{scenario}-{carrier_ghz:.0f}GHz"][quantity]
        companies = [_at_percent(metric, row) for row in ("median", "min", "max")]
        yield Curve(scenario, carrier_ghz, quantity, np.percentile(np.concatenate(parts), PERCENT), *companies)


def figures_of(curves: list[Curve], older: list[Curve], n_drops: int) -> dict[str, Figure]:
    """The figures, flat: the whole first, then the error of every curve's median."""
    figures: dict[str, Figure] = {
        "curves_inside": sum(bool(curve.inside.all()) for curve in curves),
        "curves": len(curves),
        "points_inside": sum(int(curve.inside.sum()) for curve in curves),
        "points": sum(curve.inside.size for curve in curves),
        "worst_median_error_db": _worst(curves),
    }
    for quantity, name in NAMES.items():
        figures[f"worst_{name}_median_error_db"] = _worst([curve for curve in curves if curve.quantity == quantity])
    figures["worst_typical_error_db"] = max(abs(float(np.median(curve.error))) for curve in curves)
    figures["mean_absolute_error_db"] = float(np.mean([np.abs(curve.error) for curve in curves]))
    figures["edition_2016_uma_worst_median_error_db"] = _worst(older)
    figures["drops"] = n_drops
    return figures | {f"{curve.key}_median_error_db": round(float(curve.error[MIDDLE]), 3) for curve in curves}


def _worst(curves: list[Curve]) -> float:
    return max(abs(float(curve.error[MIDDLE])) for curve in curves)


def _table(curves: list[Curve]) -> str:
    rows = [["ours minus the companies' median, dB, at", *(f"{percent} %" for percent in PERCENT), "inside"]]
    for curve in curves:
        label = f"{curve.scenario} {curve.carrier_ghz:.0f} GHz {NAMES[curve.quantity]}"
        marks = (f"{error:+.2f}" + (" " if ok else "!") for error, ok in zip(curve.error, curve.inside, strict=True))
        rows.append([label, *marks, f"{curve.inside.sum()} of {len(PERCENT)}"])
    total = sum(int(curve.inside.sum()) for curve in curves)
    rows.append(["all", *([""] * len(PERCENT)), f"{total} of {sum(curve.inside.size for curve in curves)}"])
    return aligned(rows)


def _note(older: list[Curve]) -> str:
    return (
        "! outside the companies' range. The companies followed the edition of 2016: with the two laws of UMa that\n"
        f"differed in it the largest error of a median in UMa is {_worst(older):.2f} dB."
    )
