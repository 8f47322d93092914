"""`mndt train crowd`: fit the correction to recorded walks and write it with a card saying what it was fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mndt.files import whole_file
from mndt.learn.crowd import ALONE_UPDATES, CrowdFit, fit
from mndt.learn.crowd_tracks import STEP_S, read_scenes

Array = np.ndarray


def train_crowd(data: str | Path, out: str | Path, *, seed: int = 0, updates: int | None = None) -> CrowdFit:
    """Fit to all scenes of a file and write ``out`` (npz) and, beside it, a card (md).

    Args:
        data: tracks, see `mndt.learn.crowd_tracks.read_scenes`.
        out: path of the weights; `mndt.users.crowd.correction.read_correction` reads them.
        seed: of the start and the order.
        updates: steps of gradient descent; default the number the validation uses.

    Raises:
        InputError: data that cannot be used.
    """
    scenes = read_scenes(data)
    fitted = fit("ours", scenes, seed=seed, updates=updates, alone=updates or ALONE_UPDATES)
    out = Path(out)
    with whole_file(out) as target, open(target, "wb") as file:
        np.savez(file, **fitted.weights, speed=np.array(fitted.speed))  # type: ignore[arg-type]
    walkers, left = sum(s.n for s in scenes), sum(int(s.leaves.sum()) for s in scenes)
    seconds = sum(len(s.xy_m) * STEP_S for s in scenes)
    mean_here = sum(float(np.isfinite(s.xy_m[..., 0]).sum()) for s in scenes) * STEP_S / seconds
    box = np.nanmax([np.nanmax(s.xy_m, axis=(0, 1)) - np.nanmin(s.xy_m, axis=(0, 1)) for s in scenes], axis=0)
    card = f"""# Learned correction of the indoor crowd

Weights of `mndt.users.crowd.correction`, {sum(v.size for v in fitted.weights.values()):,} numbers, written by
`mndt train crowd` (seed {seed}).

| fitted to | |
|---|---|
| file | {Path(data).name} ({len(scenes)} scenes, {seconds:,.0f} s) |
| walkers | {walkers:,}, of whom {left:,} reach their goal within the scene |
| left out | {sum(s.dropped for s in scenes):,} tracks faster than 4 m/s or shorter than 1.6 s |
| crowd | {mean_here:.0f} people at a time in {box[0]:.0f} x {box[1]:.0f} m on average |
| desired speed | {fitted.speed[0]:.2f} m/s + {fitted.speed[1]:.2f} times the speed over the first 0.8 s |
| mean distance to the truth in training | {fitted.loss_m:.2f} m (free roll-outs of at most 20 s) |
| contacts between strangers in training | {fitted.contacts:.0f}, recorded {fitted.contacts_real:.0f} |

Relaxation {np.exp(fitted.weights["log_tau"]):.2f} s, repulsion {np.exp(fitted.weights["log_push"]):.2f} m/s2 at 0.6 m
between centres, range {np.exp(fitted.weights["log_range"]):.2f} m. The recording itself is not part of the weights.
Outside what was recorded (other densities, stairs, queues, alarms) the bounds of the correction hold, nothing more.
"""
    with whole_file(out.with_suffix(".md")) as target:
        Path(target).write_text(card, encoding="utf-8")
    return fitted
