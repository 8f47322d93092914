"""`mndt fit radio`: files in, a folder with parameters, predictions and verdicts out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.checks.output import Result, aligned
from mndt.files import whole_file
from mndt.fit_inputs import read_inputs
from mndt.radio.measured.evaluation import names_of
from mndt.radio.measured.fitting import RadioFit, fit_radio
from mndt.runfolder import fresh_folder, refuse_existing, write_json, write_text

MARKER: Final = "fit.json"
"""The file that makes a folder a fit."""


def fit_files(
    measured: Path,
    sites: Path,
    *,
    terrain: Path | None = None,
    buildings: Path | None = None,
    city: str | None = None,
    out: Path,
    seed: int = 0,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """Fit radio parameters to measurements and write the folder `out`.

    Args:
        measured: table of reports, see `formats.measurements`.
        sites: inventory of cells, see `city.cell_table`.
        terrain: GeoTIFF or table of ground and building height.
        buildings: GeoTIFF of building heights beside a terrain of one band.
        city: scenario, city folder, saved city or OpenStreetMap extract whose buildings stand on the ground.
        out: folder to make.
        seed: draws what is held out.
        force: replace an earlier fit.
        say: called with what is happening and what was repaired.

    Raises:
        InputError: files that do not fit, or too few reports; nothing is written then.
    """
    refuse_existing(out, force, MARKER)
    found = read_inputs(measured, sites, terrain=terrain, buildings=buildings, city=city)
    for line in found.repairs:
        say(line)
    n_cells = len(np.unique(found.samples.cell))
    say(f"fitting {len(found.samples):,} reports of {n_cells} cells at {found.n_sites} sites ...")
    fit = fit_radio(found.samples, found.cells, found.ground, seed=seed)
    with fresh_folder(out, replace_existing=force, marker=MARKER) as folder:
        _write(folder, fit, found.repairs)
    return Result("fit radio", fit.figures(), seeds=[seed], table=text(fit), note=f"written to {out}")


# --- writing ----------------------------------------------------------------------------------------


def text(fit: RadioFit) -> str:
    """What was found, for people."""
    level, held = fit.case.samples.rsrp_dbm, fit.held_out
    titles = {"cells": "other cells", "pixels": "other pixels", "blocks": "other 50 m blocks"}
    errors = {split: result.rmse_db(level) for split, result in held.items()}
    rows = [["RMSE in dB on", *(titles[split] for split in held)]]
    for name in names_of(list(held.values())):
        rows.append([name, *(f"{errors[s][name]:.2f}" if name in errors[s] else "-" for s in held)])
    rows.append(["90 % intervals hold", *(f"{result.coverage(level):.1%}" for result in held.values())])
    found = [["parameter", "prior", "fitted", "error", "selection ignored"]]
    for p in fit.parameters.parameters:
        unit = f" {p.unit}" if p.unit else ""
        found.append(
            [p.name, f"{p.prior:.2f} +- {p.prior_sd:.2f}", f"{p.value:.2f}{unit}", f"{p.error:.2f}", f"{p.plain:.2f}"]
        )
    names = fit.case.cells.name
    odd = [f"{names[s.cell]} ({s.turn_deg:+.0f} deg)" for s in fit.suspects[:8]]
    lines = [
        aligned(rows), "", aligned(found), "",
        f"around the law: cells {fit.parameters.cell_sd_db:.1f} dB, reports {fit.parameters.residual_db:.1f} dB",
        "other cells: whole sites are held out; other pixels: reports of all cells there are",
    ]  # fmt: skip
    if odd:
        more = f" and {len(fit.suspects) - 8} more" if len(fit.suspects) > 8 else ""
        lines.append(f"cells that seem to point elsewhere than the inventory says: {', '.join(odd)}{more}")
    return "\n".join(lines)


def _write(folder: Path, fit: RadioFit, repairs: Sequence[str]) -> None:
    content = {
        "parameters": {p.name: asdict(p) for p in fit.parameters.parameters},
        "cell_sd_db": fit.parameters.cell_sd_db,
        "residual_db": fit.parameters.residual_db,
        "weights": fit.parameters.weights,
        "shadowing": {key: np.asarray(value).tolist() for key, value in asdict(fit.parameters.shadowing).items()},
        "figures": fit.figures(),
        "repairs": list(repairs),
        "reports": len(fit.case),
    }
    write_json(folder / MARKER, content)
    write_text(folder / "fit.txt", text(fit) + "\n")
    _write_cells(folder / "cells.csv", fit)
    _write_held_out(folder / "held_out.parquet", fit)
    from mndt.pictures.fit import fit_picture
    from mndt.pictures.style import save

    save(fit_picture(fit), folder / "fit.png")
    x, y, common = fit.shadowing_map()
    lines = [f"{a:.1f},{b:.1f},{m:.2f},{s:.2f}" for a, b, m, s in zip(x, y, common.mean_db, common.sd_db, strict=True)]
    write_text(folder / "shadowing.csv", "\n".join(["x_m,y_m,shadowing_db,report_sd_db", *lines]) + "\n")


def _write_cells(path: Path, fit: RadioFit) -> None:
    count = np.bincount(fit.case.samples.cell, minlength=len(fit.case.cells))
    turn = {s.cell: s.turn_deg for s in fit.suspects}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["cell", "reports", "offset_db", "offset_error_db", "seems_turned_deg"])
    for k, name in enumerate(fit.case.cells.name):
        row = [f"{fit.offset_db[k]:.2f}", f"{fit.offset_error_db[k]:.2f}", turn.get(k, "")]
        writer.writerow([name, count[k], *row])
    write_text(path, stream.getvalue())


def _write_held_out(path: Path, fit: RadioFit) -> None:
    """One row for each report held out, and each split it was held out in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    s, names = fit.case.samples, np.array(fit.case.cells.name)
    parts = []
    for split, held in fit.held_out.items():
        r = held.rows
        columns: dict[str, Any] = {
            "split": np.full(len(r), split), "cell": names[s.cell[r]], "x_m": s.x_m[r], "y_m": s.y_m[r],
            "rsrp_dbm": s.rsrp_dbm[r], "predicted_dbm": held.predicted["mndt"],
            "low_dbm": held.low_dbm, "high_dbm": held.high_dbm,
        }  # fmt: skip
        parts.append(pa.table(columns))
    with whole_file(path) as part:
        pq.write_table(pa.concat_tables(parts), part)
