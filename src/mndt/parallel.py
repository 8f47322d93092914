"""Doing many things with progress in sight: one bar for a loop, one for work side by side.

joblib is the only way the twin runs things side by side; beyond one machine its back ends (Ray,
Dask) take over without a change here. Bars go to standard error, appear on a terminal only, and
stay away when `quiet(True)` was called.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Screen:
    """The one display of this process: bars inside bars, and bars of threads, share it."""

    def __init__(self) -> None:
        self.quiet = False
        self.progress: Progress | None = None
        self.users = 0
        self.lock = threading.Lock()


_SCREEN: Final = _Screen()


def quiet(silent: bool = True) -> None:
    """Show no bars from now on (`mndt -q`)."""
    _SCREEN.quiet = silent


def shows_progress() -> bool:
    """Whether bars are drawn: standard error is a terminal and nobody asked for silence."""
    return not _SCREEN.quiet and sys.stderr is not None and sys.stderr.isatty()


def core_count() -> int:
    """Processor cores this process may use (a container's or cluster's share, not the machine's)."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # macOS has no affinity
        return max(1, os.cpu_count() or 1)


def track(iterable: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Pass the items through and show how many are done.

    Args:
        iterable: what to go through.
        description: what is being done, a few words.
        total: number of items where the iterable does not know its length.

    >>> list(track(range(3), "counting"))
    [0, 1, 2]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with bar(description, total) as advance:
        for item in iterable:
            yield item
            advance()


@contextmanager
def bar(description: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar; each call of what it yields moves it by one.

    >>> with bar("three steps", 3) as advance:
    ...     advance()
    """
    if not shows_progress():
        yield lambda: None
        return
    progress = _open_screen()
    task = progress.add_task(description, total=total)
    try:
        yield lambda: progress.advance(task)
    finally:
        progress.stop_task(task)
        _close_screen()


def side_by_side(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    description: str,
    n_jobs: int | None = None,
    *,
    threads: bool = False,
) -> list[Result]:
    """Call `function` on every item, several at a time; results in the order of the items.

    Args:
        function: with processes, a module-level function (it is sent to the workers).
        items: the arguments.
        description: what is being done, a few words.
        n_jobs: how many at a time; default all cores of this process. One at a time needs no
            workers and is used for a single item.
        threads: True when the work is in kernels that release the interpreter lock and the
            arguments are large; they are then shared, not copied.

    Raises:
        Exception: whatever `function` raises first.

    >>> side_by_side(abs, [-1, -2], "absolute values", n_jobs=1)
    [1, 2]
    """
    items = list(items)
    jobs = min(n_jobs or core_count(), len(items))
    if jobs <= 1:
        return [function(item) for item in track(items, description)]

    from joblib import Parallel, delayed

    backend = {"backend": "threading"} if threads else {}
    work = Parallel(n_jobs=jobs, return_as="generator", **backend)
    return list(track(work(delayed(function)(item) for item in items), description, len(items)))


def _open_screen() -> Progress:
    from rich import progress as parts
    from rich.console import Console

    with _SCREEN.lock:
        if _SCREEN.progress is None:
            columns = (
                parts.TextColumn("{task.description}"),
                parts.BarColumn(),
                parts.MofNCompleteColumn(),
                parts.TimeElapsedColumn(),
                parts.TimeRemainingColumn(),
            )
            _SCREEN.progress = parts.Progress(*columns, console=Console(stderr=True), refresh_per_second=5)
            _SCREEN.progress.start()
        _SCREEN.users += 1
        return _SCREEN.progress


def _close_screen() -> None:
    with _SCREEN.lock:
        _SCREEN.users -= 1
        if _SCREEN.users == 0 and _SCREEN.progress is not None:
            _SCREEN.progress.stop()
            _SCREEN.progress = None
