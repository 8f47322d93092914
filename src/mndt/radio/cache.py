"""Arrays kept on disk between runs: named by what they are made from, never trusted blindly.

An entry is `maps-<key>.npy` (memory-mapped when read) and `maps-<key>.json` (what it is, when, its
checksum); other files of the directory are never touched.
Both are written beside their place and moved into it, the description last: a reader sees a whole
entry or none. An entry that is cut off, changed or of another schema counts as absent.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

SCHEMA_VERSION: Final = 1
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheEntry:
    """One cached array, as `mndt cache list` shows it."""

    file: Path
    bytes: int
    what: str
    created: str  # local date and time, ISO 8601


def cache_directory(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where maps are kept: the argument, else `$MNDT_CACHE/maps`, else the user's cache directory."""
    if cache_dir is not None:
        return Path(cache_dir)
    if os.environ.get("MNDT_CACHE"):
        return Path(os.environ["MNDT_CACHE"]) / "maps"
    from platformdirs import user_cache_path

    return user_cache_path("mndt") / "maps"


def load(directory: Path, key: str) -> np.ndarray | None:
    """The cached array, memory-mapped and read-only, or None if there is no sound one."""
    try:
        about = json.loads((directory / f"maps-{key}.json").read_text(encoding="utf-8"))
        array: np.ndarray = np.load(directory / f"maps-{key}.npy", mmap_mode="r", allow_pickle=False)
        sound = about["schema"] == SCHEMA_VERSION and about["crc32"] == _checksum(array)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return np.asarray(array) if sound else None


def store(directory: Path, key: str, array: np.ndarray, what: str) -> bool:
    """Keep an array; False, with a line in the log, where the disk does not let us."""
    about = {
        "schema": SCHEMA_VERSION,
        "what": what,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "crc32": _checksum(array),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / f"maps-{key}.npy", lambda file: np.save(file, array, allow_pickle=False))
        _write(directory / f"maps-{key}.json", lambda file: file.write(json.dumps(about).encode()))
    except OSError as error:
        _LOG.warning("maps are not kept: %s", error)
        return False
    return True


def list_cache(cache_dir: str | os.PathLike[str] | None = None) -> list[CacheEntry]:
    """All entries, newest first. Damaged ones are listed too, so that they can be cleared."""
    directory = cache_directory(cache_dir)
    entries = []
    for file in directory.glob("maps-*.npy"):
        try:
            about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            what, created = str(about["what"]), str(about["created"])
        except (OSError, ValueError, KeyError, TypeError):
            what, created = "damaged", time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(file.stat().st_mtime))
        entries.append(CacheEntry(file, file.stat().st_size, what, created))
    return sorted(entries, key=lambda entry: entry.created, reverse=True)


def clear_cache(cache_dir: str | os.PathLike[str] | None = None) -> int:
    """Delete all entries and left-over parts of interrupted writes; returns the bytes freed."""
    directory, freed = cache_directory(cache_dir), 0
    for pattern in ("maps-*.npy", "maps-*.json", "maps-*.part"):
        for file in directory.glob(pattern):
            freed += file.stat().st_size
            file.unlink(missing_ok=True)
    return freed


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _write(path: Path, write: Callable[[Any], object]) -> None:
    handle, part = tempfile.mkstemp(dir=path.parent, prefix="maps-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
