"""Recorded walks of a crowd, ready for training and for scoring: one grid of times, absurd tracks left out.

Whatever the frame rate, positions are taken at multiples of `STEP_S` by linear interpolation and scored
every `SAMPLE_S`. A walker is *seen* for the first 0.8 s of the track; from the next multiple of `STEP_S` on
he is *free*: a model moves him. His goal is the point where the track ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mndt.errors import InputError

Array = np.ndarray

STEP_S: Final = 0.2
SAMPLE_S: Final = 0.8
EVERY: Final = 4
"""Grid steps from one scored sample to the next."""
SEEN_S: Final = 0.8
FASTEST_MPS: Final = 4.0
SHORTEST_S: Final = 1.6
COMPANION_M: Final = 1.5
COMPANION_SAMPLES: Final = 3
NEAR_S: Final = 60.0
"""Blocks nearer in time than this may share people."""


@dataclass(frozen=True)
class Scene:
    """One stretch of a recording. Rows of the grid are `STEP_S` apart, NaN where somebody is absent."""

    name: str
    start_s: float  # on the recording's clock
    xy_m: Float64[Array, "times walkers 2"]
    first: Int64[Array, "walkers"]  # row from which on the walker is free
    last: Int64[Array, "walkers"]  # last row at which he is there
    goal_m: Float64[Array, "walkers 2"]
    seen_mps: Float64[Array, "walkers 2"]  # velocity over the 0.8 s seen
    leaves: Bool[Array, "walkers"]  # he reaches his goal before the scene ends; the others are not scored
    dropped: int  # tracks left out as absurd or too short

    @property
    def n(self) -> int:
        """Walkers."""
        return len(self.first)

    @property
    def end_s(self) -> float:
        """Clock time of the last row."""
        return self.start_s + (len(self.xy_m) - 1) * STEP_S

    def free(self) -> Bool[Array, "times walkers"]:
        """Where walkers are moved by a model."""
        t = np.arange(len(self.xy_m))[:, None]
        return np.asarray((t >= self.first) & (t <= self.last))

    def scored(self) -> Bool[Array, "samples walkers"]:
        """Samples at which the distance to the truth counts."""
        t = np.arange(0, len(self.xy_m), EVERY)[:, None]
        return np.asarray((t > self.first) & (t <= self.last) & self.leaves)

    def companions(self) -> Bool[Array, "walkers walkers"]:
        """Pairs who walk together: median distance below 1.5 m over at least three common samples."""
        xy = self.xy_m[::EVERY]
        out = np.zeros((self.n, self.n), bool)
        for i in range(self.n):
            d = np.hypot(*np.moveaxis(xy - xy[:, i : i + 1], -1, 0))
            common = np.isfinite(d).sum(0) >= COMPANION_SAMPLES
            median = np.full(self.n, np.inf)
            median[common] = np.nanmedian(d[:, common], axis=0)
            out[i] = median < COMPANION_M
        np.fill_diagonal(out, False)
        return out


def scene_of(
    name: str, start_s: float, end_s: float, tracks: Sequence[tuple[Array, Array]], *, fastest: Array | None = None
) -> Scene:
    """A scene of tracks.

    Args:
        name: of the scene.
        start_s: clock time of its beginning.
        end_s: and of its end; who is there in the last moments has not left.
        tracks: times (s, increasing) and positions (m) of each walker.
        fastest: largest speed of each track where it is known; else over `SEEN_S`.
    """
    rows = int(np.floor((end_s - start_s) / STEP_S + 1e-6)) + 1
    grid = start_s + STEP_S * np.arange(rows)
    xy, first, last, goal, seen, leaves = [], [], [], [], [], []
    for k, (t, p) in enumerate(tracks):
        if len(t) < 2 or t[-1] - t[0] < SHORTEST_S:
            continue
        top = _top_speed(t, p) if fastest is None else float(fastest[k])
        a, b = int(np.ceil((t[0] + SEEN_S - start_s) / STEP_S - 1e-6)), int(np.floor((t[-1] - start_s) / STEP_S + 1e-6))
        if top > FASTEST_MPS or b <= a or b >= rows:
            continue
        here = (grid >= t[0] - 1e-6) & (grid <= t[-1] + 1e-6)
        line = np.full((rows, 2), np.nan)
        line[here] = np.column_stack([np.interp(grid[here], t, p[:, c]) for c in (0, 1)])
        xy.append(line)
        first.append(a)
        last.append(b)
        goal.append(p[-1])
        after = np.array([np.interp(t[0] + SEEN_S, t, p[:, c]) for c in (0, 1)])
        seen.append((after - p[0]) / SEEN_S)
        leaves.append(t[-1] < end_s - STEP_S)
    n = len(first)
    return Scene(
        name, start_s, np.stack(xy, axis=1) if n else np.zeros((rows, 0, 2)), np.array(first, np.int64),
        np.array(last, np.int64), np.array(goal, float).reshape(n, 2), np.array(seen, float).reshape(n, 2),
        np.array(leaves, bool), len(tracks) - n,
    )  # fmt: skip


def read_scenes(path: str | Path, *, scene_s: float = 60.0) -> list[Scene]:
    """Read recorded tracks.

    Args:
        path: ``.npz`` in the layout of docs/crowds.md (scenes with `positions`, `first_step`, ...), or a table
            (CSV or Parquet) with columns time, id, x, y in seconds and metres and, if present, scene.
        scene_s: length of the scenes a table is cut into where it has no column scene.

    Raises:
        InputError: a file that cannot be read, lacks a column, or holds no walker that can be used.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("data", path, allowed="an existing file", fix="give the file with the recorded tracks")
    scenes = _from_npz(path) if path.suffix == ".npz" else _from_table(path, scene_s)
    scenes = [scene for scene in scenes if scene.n]
    if not scenes:
        raise InputError(
            "data", path.name, allowed=f"tracks of at least {SHORTEST_S} s, no faster than {FASTEST_MPS:g} m/s",
            fix="see whether time is in seconds and x, y are in metres",
        )  # fmt: skip
    return scenes


def blocks_of(scenes: Sequence[Scene], gap_s: float = 3.0, least: int = 3) -> list[list[int]]:
    """Scenes grouped into blocks that are contiguous in time.

    Scenes at most `gap_s` apart always share a block; then neighbours are joined until a block has at least
    `least` scenes. A recording of one contiguous block is cut into four, or into its scenes if it has fewer.
    """
    order = sorted(range(len(scenes)), key=lambda k: scenes[k].start_s)
    runs: list[list[int]] = []
    for k in order:
        if runs and scenes[k].start_s - scenes[runs[-1][-1]].end_s <= gap_s:
            runs[-1].append(k)
        else:
            runs.append([k])
    blocks: list[list[int]] = []
    for run in runs:
        if blocks and len(blocks[-1]) < least and len(run) < least:
            blocks[-1] += run
        else:
            blocks.append(list(run))
    if len(blocks) == 1 and len(order) > 1:
        blocks = [list(map(int, part)) for part in np.array_split(order, min(4, len(order)))]
    return blocks


def without_shared(scenes: Sequence[Scene], train: Sequence[int], test: Sequence[int]) -> list[Bool[Array, "walkers"]]:
    """Per training scene the walkers who may be learned from: nobody who can also be in a test scene.

    Whoever is there at that end of a training scene behind which, within `NEAR_S`, a test scene lies, is not.
    """
    allowed = []
    for k in train:
        scene, ok = scenes[k], np.ones(scenes[k].n, bool)
        rows = len(scene.xy_m)
        for other in (scenes[j] for j in test):
            if 0 <= other.start_s - scene.end_s + STEP_S <= NEAR_S:
                ok &= scene.last < rows - 1 - EVERY
            if 0 <= scene.start_s - other.end_s + STEP_S <= NEAR_S:
                ok &= np.isnan(scene.xy_m[: EVERY + 1, :, 0]).any(0)
        allowed.append(ok)
    return allowed


def _top_speed(t: Array, p: Array) -> float:
    """Largest speed over spans of `SEEN_S`, or of one frame where frames are farther apart."""
    span = max(SEEN_S, float(np.median(np.diff(t))))
    later = np.minimum(np.searchsorted(t, t + span - 1e-6), len(t) - 1)
    moved = later > np.arange(len(t))
    i, j = np.flatnonzero(moved), later[moved]
    return float((np.hypot(*(p[j] - p[i]).T) / np.maximum(t[j] - t[i], 1e-3)).max(initial=0.0))


def _from_npz(path: Path) -> list[Scene]:
    try:
        data = np.load(path, allow_pickle=False)
        dt = float(data["dt_s"])
        names, starts = data["scene_names"], data["start_s"]
        scenes = []
        for k, name in enumerate(names):
            xy = np.asarray(data[f"scene{k:02d}_positions"], float)
            top = data.get(f"scene{k:02d}_max_speed_mps")
            time_s = float(starts[k]) + dt * np.arange(len(xy))
            here = np.isfinite(xy).all(-1)
            tracks = [(time_s[here[:, i]], xy[here[:, i], i]) for i in range(xy.shape[1])]
            scenes.append(scene_of(str(name), float(starts[k]), time_s[-1], tracks, fastest=top))
        return scenes
    except (KeyError, ValueError, OSError) as problem:
        raise InputError(
            "data", path.name, allowed="scene_names, start_s, dt_s and scene00_positions, scene01_positions, ...",
            fix=f"write the arrays of docs/crowds.md ({problem})",
        ) from problem  # fmt: skip


def _from_table(path: Path, scene_s: float) -> list[Scene]:
    import duckdb

    reader = "read_parquet" if path.suffix.lower() in (".parquet", ".pq") else "read_csv"
    try:
        with duckdb.connect() as base:
            table = base.execute(f"select * from {reader}(?)", [str(path)]).fetchnumpy()
    except duckdb.Error as problem:
        why = str(problem).splitlines()[0]
        raise InputError(
            "data", path.name, allowed="a CSV or Parquet table", fix=f"it cannot be read: {why}"
        ) from problem
    columns = {name.lower(): name for name in table}
    for name in ("time", "id", "x", "y"):
        if name not in columns:
            raise InputError(
                "columns", ", ".join(table), allowed="time, id, x, y (scene if there are several)",
                fix=f"name the column of {name} '{name}'", where=path.name,
            )  # fmt: skip
    try:
        t, x, y = (np.ma.filled(np.ma.asarray(table[columns[c]]).astype(float), np.nan) for c in ("time", "x", "y"))
    except (TypeError, ValueError) as problem:
        raise InputError(
            "time, x, y", "not numeric", allowed="numbers", fix=f"give seconds and metres ({problem})", where=path.name
        ) from problem
    person = np.unique(np.asarray(table[columns["id"]]).astype(str), return_inverse=True)[1]
    named = np.asarray(table[columns["scene"]]).astype(str) if "scene" in columns else None
    good = np.isfinite(t) & np.isfinite(x) & np.isfinite(y)
    t, x, y, person = t[good], x[good], y[good], person[good]
    if not len(t):
        return []
    scene = np.unique(named[good], return_inverse=True)[1] if named is not None else (
        np.floor((t - t.min()) / scene_s).astype(np.int64)
    )  # fmt: skip
    order = np.lexsort((t, person, scene))
    t, xy, person, scene = t[order], np.column_stack([x, y])[order], person[order], scene[order]
    once = np.r_[True, (np.diff(t) > 0) | (np.diff(person) != 0) | (np.diff(scene) != 0)]
    t, xy, person, scene = t[once], xy[once], person[once], scene[once]
    parts = [(k, scene == k) for k in np.unique(scene)]
    return [_cut(t[rows], xy[rows], person[rows], f"{path.stem}_{k}") for k, rows in parts]


def _cut(t: Array, xy: Array, person: Array, name: str) -> Scene:
    borders = np.flatnonzero(np.diff(person)) + 1
    tracks = list(zip(np.split(t, borders), np.split(xy, borders), strict=True))
    return scene_of(name, float(t.min()), float(t.max()), tracks)
