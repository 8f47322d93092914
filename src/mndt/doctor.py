"""Is everything in place? What `mndt doctor` looks at; nothing heavy is imported to find out."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

MQTT: Final = ("127.0.0.1", 1883)


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    what: str
    found: str
    fix: str = ""  # what to do about it; "" when nothing is amiss


def look() -> Iterator[Line]:
    """Look at everything, one line at a time."""
    from mndt.checks.output import memory_gb
    from mndt.parallel import core_count

    good = sys.version_info >= (3, 11)
    yield Line(
        "python", f"{platform.python_version()} ({sys.executable})", "" if good else "mndt needs Python 3.11 or later"
    )
    yield Line("system", f"{platform.system()} {platform.machine()}")
    yield Line("cores", f"{core_count()} usable of {os.cpu_count()}")
    memory = memory_gb()
    yield Line(
        "memory", f"{memory} GB" if memory else "unknown", "the demo needs 2 GB" if memory and memory < 2 else ""
    )
    for package in ("mndt", *_required("mndt", None)):
        yield _package(package)
    yield Line("numba threads", _numba_threads())
    yield _cache()
    for extra in ("rt", "rl", "plant", "peers", "dev"):
        yield _extra(extra)
    yield _llvm()
    yield _broker()


def _required(package: str, extra: str | None) -> list[str]:
    """Names of the packages a package needs here, for itself or for one of its extras."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []
    names = []
    for requirement in map(Requirement, lines):
        always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if (extra is None and always) or (
            extra is not None and not always and requirement.marker and requirement.marker.evaluate({"extra": extra})
        ):
            names.append(requirement.name)
    return [name for name in names if name != package]


def _package(name: str) -> Line:
    version = _version(name)
    return Line(name, version or "missing", "" if version else f"pip install '{name}'")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _extra(extra: str) -> Line:
    needed = _required("mndt", extra)
    missing = [name for name in needed if _version(name) is None]
    if not missing:
        return Line(f"extra {extra}", "installed")
    return Line(f"extra {extra}", f"without {', '.join(missing)}", f"if you need it: pip install 'mndt[{extra}]'")


def _numba_threads() -> str:
    threads = os.environ.get("NUMBA_NUM_THREADS")
    layer = os.environ.get("NUMBA_THREADING_LAYER", "chosen at first use")
    return f"{threads + ' (NUMBA_NUM_THREADS)' if threads else 'one per core'}, layer {layer}"


def _cache() -> Line:
    from mndt.radio.cache import cache_directory

    folder = cache_directory(None)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    near = folder
    while not near.exists():
        near = near.parent
    fix = "" if os.access(near, os.W_OK) else "set MNDT_CACHE to a folder you may write"
    return Line("cache", f"{folder}, {size / 1e6:.1f} MB", fix)


def _llvm() -> Line:
    """Whether rays can be traced: Sionna RT with an LLVM library that does not abort the process."""
    from mndt.radio import _llvm

    if _version("sionna-rt") is None:
        return Line("ray tracing", f"not installed, and not needed; for traced rays: {_llvm.INSTALL}")
    why_not = _llvm.why_not()
    if why_not:
        return Line("ray tracing", "not possible", why_not)
    library = _llvm.require()
    return Line("ray tracing", f"with {library.path} (version {library.version})")


def _broker() -> Line:
    try:
        with socket.create_connection(MQTT, timeout=0.3):
            return Line("MQTT broker", f"answers at {MQTT[0]}:{MQTT[1]}")
    except OSError:
        return Line(
            "MQTT broker",
            f"none at {MQTT[0]}:{MQTT[1]}",
            "needed for live plants only: install e.g. mosquitto and start it",
        )
