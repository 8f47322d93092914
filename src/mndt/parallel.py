"""Doing many things with progress in sight: one bar for a loop, one for work side by side.

joblib is the only way the twin runs tasks side by side; beyond one machine its back ends (Ray,
Dask) take over without a change here. Threads inside a kernel's call, which lasts milliseconds, are
`by_rows`. Bars go to standard error, appear on a terminal only, and
stay away when `quiet(True)` was called.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

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


def set_threads(n: int) -> None:
    """Use this many threads in kernels from now on. Results do not depend on it."""
    _KERNELS.threads = max(1, n)


def by_rows(kernel: Callable[..., None], n_rows: int, *arguments: Any, least: int = 1000) -> None:
    """Call ``kernel(low, high, *arguments)`` on shares of the rows, one share a thread.

    Args:
        kernel: compiled, without the interpreter lock; writes its own rows only, so the number of
            threads changes nothing but the time.
        n_rows: how many there are.
        least: rows a thread gets at least; waking it takes longer than fewer of them.

    >>> import numpy as np
    >>> rows = np.zeros(5)
    >>> by_rows(lambda low, high, out: out.__setitem__(slice(low, high), 1), 5, rows)
    >>> int(rows.sum())
    5
    """
    n = min(_KERNELS.threads, n_rows // least)
    if n <= 1:
        kernel(0, n_rows, *arguments)
        return
    ends = [n_rows * i // n for i in range(n + 1)]
    waiting = [_KERNELS.pool().submit(kernel, *ends[i : i + 2], *arguments) for i in range(1, n)]
    kernel(0, ends[1], *arguments)
    for share in waiting:
        share.result()


class _Kernels:
    """Threads for kernels, made when first needed. Processes that work side by side have one each."""

    def __init__(self) -> None:
        self.threads = int(os.environ.get("MNDT_THREADS") or os.environ.get("OMP_NUM_THREADS") or core_count())
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def pool(self) -> ThreadPoolExecutor:
        if self._pool is None or self._process != os.getpid():
            from concurrent.futures import ThreadPoolExecutor

            self._pool, self._process = ThreadPoolExecutor(max(self.threads - 1, core_count())), os.getpid()
        return self._pool


_KERNELS: Final = _Kernels()


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
