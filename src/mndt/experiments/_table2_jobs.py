"""Episodes of Table II played side by side, each kept in a file as soon as it is over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

import mndt
from mndt.files import whole_file
from mndt.parallel import set_threads, side_by_side

Array = np.ndarray
Weights = Mapping[str, Array]

SOURCES: Final = ("optimise/allocation", "radio", "city")
"""Rooms whose code decides what an episode brings."""


LEARNED: Final = {"learned": "allocation_forecast.npz", "chain": "allocation_chain_*.npz"}
"""Method -> its weights in the package."""


@dataclass(frozen=True)
class Job:
    """One episode to be played by one method."""

    scenario: str
    seed: int
    method: str
    knobs: tuple[tuple[str, float], ...] = ()
    solver_seed: int = 0
    size: tuple[tuple[str, Any], ...] = ()  # other arguments of `episode`
    weights: str = ""  # file with weights trained for this run; "": those that come with the package

    @property
    def passes(self) -> float:
        """Roughly how many times an episode is gone through."""
        return {"planner": 6.0, "learned": 1.2, "fundamentals": 0.2}.get(self.method, 1.0)


@dataclass(frozen=True)
class Record:
    """What it brought."""

    throughput: float  # units of bandwidth
    satisfaction: float
    ms: float  # processor time of a decision
    powerless: float


def play_all(jobs: Sequence[Job], folder: Path, n_jobs: int | None = None) -> dict[Job, Record]:
    """Play what the folder does not hold yet; the result holds every job.

    Args:
        jobs: in any order.
        folder: of finished episodes. A file counts only if all code and weights are those of now.
        n_jobs: how many at a time; default all cores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {job: _kept(_file(folder, job)) for job in dict.fromkeys(jobs)}
    missing = sorted((job for job, record in found.items() if record is None), key=lambda job: (job.scenario, job.seed))
    tasks = [(job, str(_file(folder, job))) for job in missing]
    side_by_side(play_one, tasks, "episodes", n_jobs)
    done = {job: record or _kept(_file(folder, job)) for job, record in found.items()}
    return {job: record for job, record in done.items() if record is not None}


def play_one(task: tuple[Job, str]) -> None:
    """Play a job and keep its record. One thread: decision times are those of one core."""
    from mndt.optimise.allocation.problem import play

    set_threads(1)
    job, file = task
    scene, method = made(job)
    _warm(job.method)
    outcome = play(scene, method, checked=True)
    record = Record(
        outcome.throughput, outcome.satisfaction, 1e3 * float(outcome.seconds.mean()), float(outcome.powerless)
    )
    with whole_file(Path(file)) as part:
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")


def minutes_text(seconds: float) -> str:
    """A rough time for people.

    >>> minutes_text(20.0), minutes_text(3000.0)
    ('about a minute', 'about 50 minutes')
    """
    return "about a minute" if seconds < 90.0 else f"about {seconds / 60.0:.0f} minutes"


def made(job: Job) -> tuple[Any, Callable[..., Any]]:
    """The episode of a job and its method."""
    from mndt.optimise.allocation.methods import make_method
    from mndt.optimise.allocation.scenarios import episode

    sizes: dict[str, Any] = dict(job.size)
    knobs: dict[str, Any] = dict(job.knobs)
    scene = episode(job.scenario, job.seed, **sizes)
    if job.weights:
        with np.load(job.weights, allow_pickle=False) as archive:
            knobs["weights"] = {name: archive[name] for name in archive.files}
    return scene, make_method(job.method, scene, job.solver_seed, **knobs)


@lru_cache
def _warm(method: str) -> None:
    """Compile what a method needs, so that its first decision takes no longer than the others."""
    from mndt.optimise.allocation.methods import make_method
    from mndt.optimise.allocation.problem import play
    from mndt.optimise.allocation.scenarios import episode

    small = episode("table2", 500, n_users=60, n_cells=8, n_blocks=12, n_steps=2)
    play(small, make_method(method, small))


def _file(folder: Path, job: Job) -> Path:
    """Named by what is played, and by a hash of everything that decides the outcome."""
    trained = Path(job.weights).read_bytes() if job.weights else _shipped_digest(job.method)
    digest = hashlib.sha256(repr(job).encode() + trained + sources_digest()).hexdigest()[:12]
    return folder / f"{job.scenario}-{job.seed}-{job.method}-{digest}.json"


@lru_cache(maxsize=1)
def sources_digest() -> bytes:
    """Hash of the code behind an episode."""
    home = Path(mndt.__file__).parent
    return _digest([path for room in SOURCES for path in (home / room).glob("*.py")])


@lru_cache
def _shipped_digest(method: str) -> bytes:
    """Hash of the weights that come with the package for a method; nothing where none are used."""
    data = Path(mndt.__file__).parent / "data"
    return _digest(data.glob(LEARNED[method])) if method in LEARNED else b""


def _digest(files: Iterable[Path]) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _kept(file: Path) -> Record | None:
    try:
        return Record(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
