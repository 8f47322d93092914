"""A city in one file: a plain zip of NumPy arrays and one JSON text, no pickle.

Every array field is a member named by its path (`roads.node_x_m`); everything else is in `city.json`
together with the schema version. The file appears whole or not at all.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import numpy as np

from mndt.city.model import City
from mndt.errors import InputError
from mndt.files import whole_file

SCHEMA: Final = 1
"""Version of the file. Raise it whenever a field of `City` changes its name or meaning."""
_HEAD: Final = "city.json"
_KIND: Final = "mndt city"


def save_city(city: City, path: str | Path) -> None:
    """Write a city to one file; the same city gives the same bytes.

    Raises:
        InputError: the folder does not exist or may not be written.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    head = {"kind": _KIND, "schema": SCHEMA, "city": _split(city, "", arrays)}
    with whole_file(path) as part:
        try:
            file = part.open("wb")
        except OSError as error:
            fix = f"choose another place ({error.strerror})"
            raise _refused(path, "a file in a folder that may be written", fix) from error
        with file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _write(archive, _HEAD, json.dumps(head, ensure_ascii=False, sort_keys=True).encode())
            for name, values in arrays.items():
                with archive.open(_member(f"{name}.npy"), "w") as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)


def load_city(path: str | Path) -> City:
    """Read a city written by `save_city`.

    Raises:
        InputError: the file is missing, cut short, something else, or of another schema version.
    """
    path = Path(path)
    if not path.is_file():
        raise _refused(path, "a city file", "the file does not exist, write it with save_city")
    try:
        with zipfile.ZipFile(path) as archive:
            head = json.loads(archive.read(_HEAD))
            if head["kind"] == _KIND and head["schema"] == SCHEMA:
                arrays = {name[:-4]: _array(archive, name) for name in archive.namelist() if name.endswith(".npy")}
                city: City = _join(City, head["city"], "", arrays)
                return city
            version = head["schema"]
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _refused(path, "a whole city file", "the file is cut short or of another kind, make it again") from error
    fix = "make the city file again with this version of mndt"
    raise InputError("schema of the city file", version, allowed=str(SCHEMA), fix=fix, where=str(path))


def _refused(path: Path, allowed: str, fix: str) -> InputError:
    return InputError("city file", f"'{path}'", allowed=allowed, fix=fix)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name)  # its date is fixed: same city, same bytes


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(_member(name), content)


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as member:
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _split(part: Any, prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The fields that JSON can hold; arrays go into `arrays` under their path."""
    plain: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            plain[field.name] = _split(value, f"{prefix}{field.name}.", arrays)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            plain[field.name] = [_split(item, f"{prefix}{field.name}.{k}.", arrays) for k, item in enumerate(value)]
        elif isinstance(value, np.ndarray):
            arrays[prefix + field.name] = np.ascontiguousarray(value)
        else:
            plain[field.name] = value
    return plain


def _join(kind: Any, plain: dict[str, Any], prefix: str, arrays: dict[str, np.ndarray]) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            values[field.name] = _join(hint, plain[field.name], f"{prefix}{field.name}.", arrays)
        elif prefix + field.name in arrays:
            values[field.name] = arrays[prefix + field.name]
        elif field.name in plain or field.default is MISSING:
            value = plain[field.name]  # a field with a default may be younger than the file
            of = next((kind for kind in get_args(hint) if is_dataclass(kind)), None)
            if of is not None and isinstance(value, list):
                value = [_join(of, item, f"{prefix}{field.name}.{k}.", arrays) for k, item in enumerate(value)]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
