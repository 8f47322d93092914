"""The guard before the ray tracer: it compiles with LLVM, and a library that is too old kills the process.

Dr.Jit, on which Sionna RT stands, opens LLVM's shared library by itself. Versions 15 and 16 are taken
and abort the whole process at the first kernel, which Python cannot catch; older ones are refused with
a message about a missing file. So the library is chosen and asked for its version here, in a child
process, before anything of the ray tracer is imported.
"""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from mndt.errors import InputError

LEAST_VERSION: Final = 17
"""15 and 16 abort the process; 19 and 23 are tried."""

VARIABLE: Final = "DRJIT_LIBLLVM_PATH"
INSTALL: Final = "pip install 'mndt[rt]'"

_SYSTEM: Final = (
    *("/usr/lib/llvm-*/lib", "/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib"),
    *("/opt/homebrew/opt/llvm*/lib", "/usr/local/opt/llvm*/lib"),
)

_ASK: Final = """
import ctypes, sys
major = ctypes.c_uint(0)
ctypes.CDLL(sys.argv[1]).LLVMGetVersion(ctypes.byref(major), None, None)
print(major.value)
"""


@dataclass(frozen=True)
class Library:
    """An LLVM library; version 0 if it does not tell one, which only those before 16 do."""

    path: Path
    version: int


class RayTracer(NamedTuple):
    """The modules of the ray tracer, imported once the library was found good."""

    dr: Any  # drjit
    mi: Any  # mitsuba
    rt: Any  # sionna.rt


def ask_version(path: Path) -> int:
    """Major version of an LLVM library, asked of itself in a child process; 0 if it gives none.

    Whatever the library does when it is opened, this process stays as it is.
    """
    command = [sys.executable, "-I", "-S", "-c", _ASK, str(path)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return int(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def find_library() -> Library | None:
    """The library that the ray tracer will use: the user's choice, else the newest one that is new enough.

    Without one that is new enough, the newest of the others, so that it can be named.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Library(Path(chosen), ask_version(Path(chosen)))
    best: Library | None = None
    for path in _candidates():
        library = Library(path, ask_version(path))
        if library.version >= LEAST_VERSION:
            return library
        best = library if best is None or library.version > best.version else best
    return best


def _candidates() -> Iterable[Path]:
    """Libraries of this Python's environment, then the system's; the newest names first, each file once."""
    own = {Path(prefix, folder) for prefix in (sys.prefix, site.getuserbase()) for folder in ("lib", "lib64", "bin")}
    folders = [sorted(own), [folder for pattern in _SYSTEM for folder in Path("/").glob(pattern[1:])]]
    seen: set[Path] = set()
    for group in folders:
        files = {file.resolve() for folder in group for file in folder.glob("libLLVM*") if _is_library(file)}
        for file in sorted(files - seen, key=_numbers, reverse=True):
            seen.add(file)
            yield file


def _is_library(file: Path) -> bool:
    """LLVM itself (`libLLVM.so.19.1`, `libLLVM-14.so.1`, `libLLVM.dylib`), none of its parts or archives."""
    return re.fullmatch(r"libLLVM[-.\d]*\.(so[\d.]*|dylib)", file.name) is not None and file.is_file()


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path.name)]


def require() -> Library:
    """The library, once it is sure that the ray tracer can run; nothing of it is imported.

    Raises:
        InputError: the extra is not installed, or LLVM is missing or too old; the sentence tells the fix.
    """
    for package, module in (("sionna-rt", "sionna"), ("mitsuba", "mitsuba"), ("drjit", "drjit")):
        if find_spec(module) is None:
            raise InputError("ray tracing", f"without {package}", allowed="the extra rt", fix=INSTALL)
    library = find_library()
    allowed = f"version {LEAST_VERSION} or later"
    if library is None:
        fix = f"{INSTALL} on Linux x86_64, else point {VARIABLE} to one"
        raise InputError("LLVM library for ray tracing", "not found", allowed=allowed, fix=fix)
    if library.version < LEAST_VERSION:
        missing = not library.path.is_file()
        what = "no file" if missing else f"version {library.version}" if library.version else "too old to tell"
        unset = f"unset {VARIABLE} or point it to a newer one"
        fix = unset if os.environ.get(VARIABLE) else f"{INSTALL} on Linux x86_64, else point {VARIABLE} to a newer one"
        raise InputError("LLVM library for ray tracing", f"{library.path} ({what})", allowed=allowed, fix=fix)
    return library


def why_not() -> str:
    """Why rays cannot be traced here, with the fix, in one sentence; empty if they can."""
    try:
        require()
    except InputError as problem:
        return str(problem)
    return ""


def available() -> bool:
    """Whether rays can be traced here."""
    return not why_not()


_LOADED: list[RayTracer] = []


def load() -> RayTracer:
    """Import the ray tracer, safely.

    Raises:
        InputError: it is not installed or would kill the process; see `require`.
    """
    if not _LOADED:
        os.environ[VARIABLE] = str(require().path)
        with quiet_third_parties():
            try:
                import drjit
                import mitsuba
                import sionna.rt
            except ImportError as problem:
                fix = f"reinstall it: {INSTALL}"
                raise InputError("ray tracing", str(problem), allowed="the extra rt", fix=fix) from problem
        _LOADED.append(RayTracer(drjit, mitsuba, sionna.rt))
    return _LOADED[0]


@contextmanager
def quiet_third_parties() -> Iterator[None]:
    """Keep to themselves what the ray tracer's packages say about their own deprecated calls."""
    with warnings.catch_warnings():
        for module in (r"mitsuba.*", r"drjit.*", r"sionna.*", r"importlib\..*", r"<frozen importlib.*"):
            for category in (DeprecationWarning, FutureWarning, ImportWarning, RuntimeWarning):
                warnings.filterwarnings("ignore", category=category, module=module)
        yield
