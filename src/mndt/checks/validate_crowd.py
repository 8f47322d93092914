"""`mndt validate crowd`: crowd models against recorded walks that none of them was fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.checks.reference_data import reference_file
from mndt.learn import crowd
from mndt.learn.crowd_model import KINDS, pack
from mndt.learn.crowd_scores import Scores, positions, score
from mndt.learn.crowd_tracks import Scene, blocks_of, read_scenes, without_shared
from mndt.parallel import side_by_side

Array = np.ndarray

FILE: Final = "crowd_gc.npz"
SEEDS: Final = 5
T_95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
"""Two-sided 95 % quantile of Student's t for 1 to 14 degrees of freedom."""


@dataclass(frozen=True)
class Task:
    """One model fitted with one seed to all blocks but one, and judged on that one."""

    kind: str
    block: int
    seed: int
    updates: int | None = None


def run(*, data: str | Path | None = None, quick: bool = False, seeds: int | None = None) -> Result:
    """Leave one block out at a time and compare the models' free roll-outs there with the recording.

    Args:
        data: a file of tracks, or the folder of the reference data; default `MNDT_DATA`.
        quick: one block, one seed, few updates: shows that everything works, not how good it is.
        seeds: training seeds; default 5.

    Figures, with * = real, straight, social_force, closed_form, ours, pooled over all left-out scenes, mean of the
    seeds: distance to the truth `mae_m_*`, transport distance `ot_*` (m), `mmd_*`, contacts between strangers
    `stranger_contacts_*`. Then `contacts_gap_ours` (relative to real), `ot_gap_to_social_force` (relative, with
    `_low` and `_high`: 95 % interval, paired over scenes), `ot_gap_to_straight`; by left-out block `*_block_k`.
    """
    scenes = scenes_of(data)
    blocks = blocks_of(scenes)
    chosen = range(len(blocks)) if not quick else [len(blocks) - 1]
    n_seeds = 1 if quick else seeds or SEEDS
    tasks = [
        Task(kind, b, seed, 8 if quick else None)
        for b in chosen for kind in KINDS for seed in range(1 if kind == "straight" else n_seeds)
    ]  # fmt: skip
    found = side_by_side(_Judge(scenes, blocks), tasks, "fitting and judging crowds")
    figures, table = summary(dict(zip(tasks, found, strict=True)), len(scenes), blocks)
    names = "; ".join(f"{k}: {', '.join(scenes[s].name for s in blocks[k])}" for k in chosen)
    return Result("crowd", figures, seeds=list(range(n_seeds)), table=table, note=f"left out in turn - {names}")


def scenes_of(data: str | Path | None) -> list[Scene]:
    """The recording asked for."""
    path = Path(data) if data is not None else None
    if path is None or path.is_dir():
        path = reference_file(FILE, path)
    return read_scenes(path)


@dataclass(frozen=True)
class _Judge:
    """Fits and scores a task; goes to the workers."""

    scenes: Sequence[Scene]
    blocks: Sequence[Sequence[int]]

    def __call__(self, task: Task) -> Scores:
        return judge(self.scenes, self.blocks, task)[0]


def judge(scenes: Sequence[Scene], blocks: Sequence[Sequence[int]], task: Task) -> tuple[Scores, crowd.CrowdFit]:
    """Scores on the block left out, and the fit to the others."""
    test = list(blocks[task.block])
    train = [k for k in range(len(scenes)) if k not in test] or test
    allowed = without_shared(scenes, train, test) if train != test else None
    few = task.updates
    fitted = crowd.fit(
        task.kind, [scenes[k] for k in train], allowed, seed=task.seed, updates=few, alone=few or crowd.ALONE_UPDATES
    )
    packed = pack([scenes[k] for k in test], fitted.speed)
    return score(packed, *positions(task.kind, fitted.weights, packed)), fitted


def summary(
    found: Mapping[Task, Scores], n_scenes: int, blocks: Sequence[Sequence[int]]
) -> tuple[dict[str, Figure], str]:
    """Figures and a table of all tasks."""
    figures: dict[str, Figure] = {"mae_m_real": 0.0, "ot_real": 0.0, "mmd_real": 0.0}
    ot = {kind: np.full(n_scenes, np.nan) for kind in KINDS}
    chosen = sorted({task.block for task in found})
    some = [next(s for task, s in found.items() if task.block == b) for b in chosen]
    figures["stranger_contacts_real"] = float(sum(s.contacts_real.sum() for s in some))
    walkers = np.concatenate([s.walkers for s in some])
    rows = [["", "distance m", "transport m", "MMD", "contacts"],
            ["real", "0", "0", "0", f"{figures['stranger_contacts_real']:.0f}"]]  # fmt: skip
    for kind in KINDS:
        for b in chosen:
            mine = [s for task, s in found.items() if task.block == b and task.kind == kind]
            ot[kind][list(blocks[b])] = np.mean([s.ot() for s in mine], axis=0)
            figures[f"stranger_contacts_{kind}_block_{b}"] = float(np.mean([s.contacts.sum() for s in mine]))
            figures[f"ot_{kind}_block_{b}"] = float(np.mean([s.pooled()["ot"] for s in mine]))
            figures[f"stranger_contacts_real_block_{b}"] = float(mine[0].contacts_real.sum())
        by_seed = [_joined([found[Task(kind, b, seed, u)] for b in chosen]) for seed, u in _seeds(found, kind)]
        means = {key: float(np.mean([s.pooled()[key] for s in by_seed])) for key in by_seed[0].pooled()}
        figures |= {f"{key}_{kind}": value for key, value in means.items()}
        rows.append([kind, *(f"{means[k]:.{n}f}" for k, n in
                     (("mae_m", 3), ("ot", 3), ("mmd", 4), ("stranger_contacts", 1)))])  # fmt: skip
        if kind == "ours":
            counts = [s.contacts.sum() for s in by_seed]
            figures["stranger_contacts_ours_low"], figures["stranger_contacts_ours_high"] = min(counts), max(counts)
    real = float(figures["stranger_contacts_real"])  # type: ignore[arg-type]
    figures["contacts_gap_ours"] = float(figures["stranger_contacts_ours"]) / max(real, 1.0) - 1.0  # type: ignore[arg-type]
    for other in KINDS[:-1]:
        figures |= paired(ot["ours"], ot[other], f"ot_gap_to_{other}")
        figures[f"ot_gap_to_{other}_pooled"] = float(figures["ot_ours"]) / float(figures[f"ot_{other}"]) - 1.0  # type: ignore[arg-type]
    figures["scored_samples"] = float(walkers.sum())
    return figures, aligned(rows)


def paired(ours: Array, other: Array, name: str) -> dict[str, Figure]:
    """Mean difference over scenes relative to the other's mean, with its 95 % interval (Student's t)."""
    ok = np.isfinite(ours) & np.isfinite(other) & (other > 0)
    difference, base, n = (ours - other)[ok], other[ok].mean(), int(ok.sum())
    half = 0.0
    if n > 1:
        quantile = T_95[n - 2] if n - 2 < len(T_95) else 1.96 + 2.5 / (n - 1)
        half = quantile * difference.std(ddof=1) / np.sqrt(n)
    mean = difference.mean()
    return {
        name: float(mean / base),
        f"{name}_low": float((mean - half) / base),
        f"{name}_high": float((mean + half) / base),
    }


def _seeds(found: Mapping[Task, Scores], kind: str) -> list[tuple[int, int | None]]:
    return sorted({(task.seed, task.updates) for task in found if task.kind == kind}, key=lambda pair: pair[0])


def _joined(parts: Sequence[Scores]) -> Scores:
    """Scores of several blocks as one."""
    names = ("walkers", "distance_m", "transport_m", "mmd", "contacts", "contacts_real")
    return Scores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
