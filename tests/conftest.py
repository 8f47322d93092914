"""How the tests run: all of them side by side, named ones in this process."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core, at most four; none where tests are named: starting them outlasts a few tests."""
    named = {Path(name.partition("::")[0]).resolve() for name in config.option.file_or_dir}
    if named - {ROOT, ROOT / "tests"}:
        return 0
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)


@pytest.fixture(autouse=True)
def _how_much_is_said() -> Iterator[None]:
    """What a command of one test says (-q, -v) is no matter of the next one, whichever that is."""
    logger = logging.getLogger("mndt")
    level = logger.level
    yield
    logger.setLevel(level)


def _save_one_at_a_time() -> None:
    """Let workers share numba's cache: two that save different signatures of one kernel at the same moment
    would give both the same file, and one of them would later run the other's code."""
    import fcntl

    from numba.core.caching import IndexDataCacheFile

    save = IndexDataCacheFile.save

    def locked(self: Any, key: Any, data: Any) -> None:
        with open(Path(tempfile.gettempdir()) / f"numba-save-{os.getuid()}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            save(self, key, data)

    IndexDataCacheFile.save = locked


if "PYTEST_XDIST_WORKER" in os.environ:
    _save_one_at_a_time()
