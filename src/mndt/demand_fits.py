"""`mndt fit demand`: a table of counted traffic in, a file of demand parameters out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.errors import InputError
from mndt.traffic_inputs import read_series
from mndt.users.demand.fitting import fit_patterns
from mndt.users.demand.patterns import Patterns, save
from mndt.users.demand.series import Gridded


def fit_demand(
    file: Path,
    *,
    out: Path,
    columns: Mapping[str, str] | None = None,
    slot_minutes: float | None = None,
    seed: int = 0,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Result:
    """Fit demand parameters to a table of (place, time, traffic, users) and write the file `out`.

    Args:
        file: CSV or Parquet, see `formats.traffic`.
        out: file .npz to write; a scenario names it in `demand.fitted`.
        columns: the table's names of our columns, where they are others.
        slot_minutes: times are numbers of slots of this length.
        seed: of the draws within the fit.
        force: replace an earlier file.
        say: called with what was repaired.

    Raises:
        InputError: the table does not fit; nothing is written then.
    """
    if out.suffix != ".npz" or not out.parent.is_dir():
        raise InputError("--out", out, allowed="a file .npz in a folder that exists", fix="change the name")
    if out.exists() and not force:
        raise InputError("--out", out, allowed="a new file", fix="choose another name or give --force")
    held = read_series(file, columns=columns, slot_minutes=slot_minutes, say=say)
    patterns = fit_patterns(held.observed, seed=seed)
    save(patterns, out)
    return Result(
        "fit demand", figures(held, patterns), seeds=[seed], table=text(held, patterns), note=f"written to {out}"
    )


def figures(held: Gridded, patterns: Patterns) -> dict[str, Figure]:
    """What was found, as numbers."""
    observed = held.observed
    found: dict[str, Figure] = {
        "places": len(observed), "groups": len(np.unique(observed.group)), "slot_minutes": observed.slot_s / 60,
        "days": observed.traffic.shape[1] / observed.slots_per_day, "clusters": len(patterns.mean),
    }  # fmt: skip
    found |= {f"share_{c}": float(share) for c, share in enumerate(patterns.share)}
    if len(patterns.dispersion):
        found |= {"user_cv": float(np.sqrt(patterns.dispersion[0])), "user_exponent": float(patterns.dispersion[1])}
    return found


def text(held: Gridded, patterns: Patterns) -> str:
    """What was found, for people: each cluster's day in traffic by its busiest slot."""
    observed, s = held.observed, patterns.slots_per_day
    days = np.exp(patterns.cluster_days())
    days = days / days.max(axis=1, keepdims=True)
    hours = (0, 4, 8, 12, 16, 20)
    rows = [["cluster", "places", *(f"{h:02d} h" for h in hours)]]
    for c, day in enumerate(days):
        rows.append([str(c), f"{patterns.share[c]:.0%}", *(f"{day[h * s // 24]:.2f}" for h in hours)])
    lines = [
        f"{len(observed):,} places, slots of {observed.slot_s / 60:g} min, {observed.traffic.shape[1] / s:.1f} days",
        "typical days, by the busiest slot:",
        aligned(rows),
    ]
    if len(patterns.dispersion):
        c, k = patterns.dispersion
        lines.append(f"variance of ln(traffic / users) = {c:.2f} users^-{k:.2f}; independent users have exponent 1")
    else:
        lines.append("no counts of users: profiles of users are those of traffic")
    return "\n".join(lines)
