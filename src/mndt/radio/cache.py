"""Arrays kept on disk between runs: named by what they are made from, never trusted blindly.

An entry is one `maps-<key>.<name>.npy` an array (memory-mapped when read) and `maps-<key>.json` (what it
is, when, checksums); other files of the directory are never touched.
All are written beside their place and moved into it, the description last: a reader sees a whole
entry or none. An entry that is cut off, changed or of another schema counts as absent.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mndt.files import whole_file

SCHEMA_VERSION: Final = 2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheEntry:
    """One entry, as `mndt cache list` shows it."""

    file: Path  # without the names of its arrays
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


def load(directory: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays of an entry by name, memory-mapped and read-only, or None if there is no sound one."""
    try:
        about = json.loads((directory / f"maps-{key}.json").read_text(encoding="utf-8"))
        if about["schema"] != SCHEMA_VERSION:
            return None
        arrays = {name: _mapped(_file(directory, key, name), crc32) for name, crc32 in about["crc32"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return arrays


def store(directory: Path, key: str, arrays: Mapping[str, np.ndarray], what: str) -> bool:
    """Keep arrays as one entry; False, with a line in the log, where the disk does not let us."""
    about = {
        "schema": SCHEMA_VERSION,
        "what": what,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "crc32": {name: _checksum(array) for name, array in arrays.items()},
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            with whole_file(_file(directory, key, name)) as part, part.open("wb") as file:
                np.save(file, array, allow_pickle=False)
        with whole_file(directory / f"maps-{key}.json") as part:
            part.write_text(json.dumps(about), encoding="utf-8")
    except OSError as error:
        _LOG.warning("maps are not kept: %s", error)
        return False
    return True


def list_cache(cache_dir: str | os.PathLike[str] | None = None) -> list[CacheEntry]:
    """All entries, newest first. Damaged ones are listed too, so that they can be cleared."""
    directory = cache_directory(cache_dir)
    arrays: dict[str, list[Path]] = {}
    for file in directory.glob("maps-*.npy"):
        arrays.setdefault(file.name.split(".")[0], []).append(file)
    entries = []
    for stem, files in arrays.items():
        try:
            about = json.loads((directory / f"{stem}.json").read_text(encoding="utf-8"))
            what, created = str(about["what"]), str(about["created"])
        except (OSError, ValueError, KeyError, TypeError):
            what, created = "damaged", time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(files[0].stat().st_mtime))
        entries.append(CacheEntry(directory / stem, sum(file.stat().st_size for file in files), what, created))
    return sorted(entries, key=lambda entry: entry.created, reverse=True)


def clear_cache(cache_dir: str | os.PathLike[str] | None = None) -> int:
    """Delete all entries and left-over parts of interrupted writes; returns the bytes freed."""
    directory, freed = cache_directory(cache_dir), 0
    for pattern in ("maps-*.npy", "maps-*.json", ".maps-*.part"):
        for file in directory.glob(pattern):
            freed += file.stat().st_size
            file.unlink(missing_ok=True)
    return freed


def _file(directory: Path, key: str, name: str) -> Path:
    return directory / f"maps-{key}.{name}.npy"


def _mapped(file: Path, crc32: int) -> np.ndarray:
    array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    if _checksum(array) != crc32:
        raise ValueError(f"{file} has changed")
    return np.asarray(array)


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
