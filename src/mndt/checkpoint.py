"""A state on disk: any nest of dataclasses, tuples and dicts of arrays and scalars, by dotted path.

The file is an ordinary ``.npz`` (``numpy.load`` reads it) whose entries are the arrays, named by
their path as in the code (``state.users.x_m``), plus one entry ``__layout__``: JSON with the schema
version, the scalars and the kind of every node. The same state gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from mndt.errors import InputError
from mndt.files import whole_file

SCHEMA_VERSION: Final = 1
"""Version of the layout; a file of another version is refused."""

_LAYOUT: Final = "__layout__"

State = TypeVar("State")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then move it in place in one stroke.

    A reader, or a kill at any moment, sees the old file or the new one, never a half of it.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    try:
        with whole_file(path) as part:
            write(part)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> InputError:
    """The sentence for a full disk, a read-only folder or any other refusal to write."""
    reason = (error.strerror or str(error)).lower()
    return InputError(
        "out", f"{path.parent} ({reason})", allowed="a folder on a disk with room", fix="choose another one with --out"
    )


def save(path: Path, state: Any, extra: dict[str, Any] | None = None) -> None:
    """Write `state` to `path`, atomically.

    Args:
        path: the ``.npz`` file.
        state: (nested) dataclasses, tuples and dicts of arrays, numbers, texts, booleans, None.
        extra: anything JSON can hold, read back by `read_extra`.

    Raises:
        TypeError: the state holds something else (a generator, an open file).
        InputError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    layout = {"schema_version": SCHEMA_VERSION, "extra": extra or {}, "state": _take_apart(state, "state", arrays)}
    content = io.BytesIO()
    header = np.frombuffer(json.dumps(layout, sort_keys=True).encode(), dtype=np.uint8)
    # numpy's own writer: entries carry a fixed date, so equal states give equal bytes
    entries: dict[str, Any] = {_LAYOUT: header, **arrays}
    np.savez(content, **entries)
    write_atomically(path, lambda part: _write_bytes(part, content.getvalue()))


def digest(thing: Any) -> str:
    """A checksum of every bit of `thing`: equal only where names, types, shapes and values are.

    Args:
        thing: as `save` takes it: a state, KPIs, or a tuple of such.

    >>> digest(np.float32([1, 2])) == digest(np.float32([1, 2])), digest(0.0) == digest(-0.0)
    (True, False)
    """
    arrays: dict[str, np.ndarray] = {}
    layout = _take_apart(thing, "thing", arrays)
    found = hashlib.blake2b(json.dumps(layout, sort_keys=True).encode(), digest_size=16)
    for name, array in arrays.items():
        found.update(f"{name}{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def load(path: Path, template: State) -> tuple[State, dict[str, Any]]:
    """Read a state back, and the extra that was saved with it.

    Args:
        path: the ``.npz`` file.
        template: a state of the same make, e.g. the start of the same run. It says which classes to
            build; its arrays may have other lengths.

    Raises:
        InputError: the file is missing, broken, of another version, or of another kind of state.
    """
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            layout = json.loads(bytes(file[_LAYOUT]))
            arrays = {name: file[name] for name in file.files if name != _LAYOUT}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a checkpoint"
        raise InputError(
            "checkpoint", f"{path} ({reason.lower()})", allowed="a complete checkpoint.npz", fix="start the run anew"
        ) from None
    if layout["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            "schema_version",
            layout["schema_version"],
            allowed=str(SCHEMA_VERSION),
            fix="resume with the version of mndt that wrote it",
            where=str(path),
        )
    state = _put_together(layout["state"], template, arrays, str(path), "state")
    return state, layout["extra"]


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _take_apart(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON node of `value`; arrays (and NumPy scalars, to keep their type) go to `arrays`."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{path} is an array of objects; a state holds numbers and texts only")
        arrays[path] = _without_padding(array)
        return {"kind": "array" if isinstance(value, np.ndarray) else "scalar", "path": path}
    if isinstance(value, IntEnum):
        return {"kind": "plain", "value": int(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return {"kind": "plain", "value": value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        nodes = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, "fields": _take_apart_all(nodes, path, arrays)}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"kind": "dict", "fields": _take_apart_all(value, path, arrays)}
    if isinstance(value, tuple | list):
        nodes = {str(i): item for i, item in enumerate(value)}
        return {"kind": "tuple" if isinstance(value, tuple) else "list", "fields": _take_apart_all(nodes, path, arrays)}
    raise TypeError(f"{path} is a {type(value).__name__}; a state holds dataclasses, arrays and plain values only")


def _without_padding(array: np.ndarray) -> np.ndarray:
    """A copy of records with zeros in the gaps between fields, where memory holds anything."""
    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype)
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: np.ndarray, target: np.ndarray) -> None:
    if source.dtype.names is None:
        target[...] = source
        return
    for name in source.dtype.names:
        _copy_fields(source[name], target[name])


def _take_apart_all(nodes: dict[str, Any], path: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: _take_apart(value, f"{path}.{name}", arrays) for name, value in nodes.items()}


def _put_together(node: dict[str, Any], template: Any, arrays: dict[str, np.ndarray], where: str, path: str) -> Any:
    kind = node["kind"]
    if kind == "plain":
        return type(template)(node["value"]) if isinstance(template, IntEnum) else node["value"]
    if kind in ("array", "scalar"):
        array = arrays[node["path"]]
        if array.dtype.names and isinstance(template, np.ndarray) and template.dtype == array.dtype:
            array = array.view(template.dtype)  # the file does not keep that records were aligned; kernels care
        return array if kind == "array" else array[()]
    fields = node["fields"]
    if kind == "dict":
        known = template if isinstance(template, dict) else {}
        return {k: _put_together(v, known.get(k), arrays, where, f"{path}.{k}") for k, v in fields.items()}
    if kind in ("tuple", "list"):
        items = template if isinstance(template, tuple | list) else ()
        known = {str(i): item for i, item in enumerate(items)}
        values = [_put_together(v, known.get(k), arrays, where, f"{path}.{k}") for k, v in fields.items()]
        if kind == "list":
            return values
        return type(template)(*values) if hasattr(template, "_fields") else tuple(values)
    if type(template).__name__ != kind or {f.name for f in dataclasses.fields(template)} != set(fields):
        raise InputError(
            path,
            kind,
            allowed=f"{type(template).__name__} as this version of mndt writes it",
            fix="resume with the version that wrote it",
            where=where,
        )
    return type(template)(
        **{k: _put_together(v, getattr(template, k), arrays, where, f"{path}.{k}") for k, v in fields.items()}
    )
