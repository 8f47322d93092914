"""Where reference data that are not ours to ship are found: `--data DIR`, or the environment variable MNDT_DATA."""

from __future__ import annotations

import os
from pathlib import Path

from mndt.errors import InputError


def reference_file(name: str, folder: Path | None = None) -> Path:
    """Path of a file of reference data.

    Args:
        name: of the file.
        folder: where to look; None = the folder that MNDT_DATA names.

    Raises:
        InputError: no folder is given, or the file is not in it.

    >>> reference_file("nothing.json", Path("/nowhere"))
    Traceback (most recent call last):
    ...
    mndt.errors.InputError: data is /nowhere, allowed is a folder with nothing.json; give another one with --data.
    """
    if folder is None and not os.environ.get("MNDT_DATA"):
        fix = "give the folder with --data or in the environment variable MNDT_DATA"
        raise InputError("data", "not given", allowed=f"a folder with {name}", fix=fix)
    where = folder if folder is not None else Path(os.environ["MNDT_DATA"])
    if not (where / name).is_file():
        raise InputError("data", where, allowed=f"a folder with {name}", fix="give another one with --data")
    return where / name
