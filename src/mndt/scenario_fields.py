"""What a scenario's tables say about themselves: keys, types, ranges and meanings, and the same as TOML.

Everything is read from the parameter dataclasses of the rooms (annotations, `annotated_types`
ranges and the comment beside each field), so that messages, the commented TOML file and the
documentation cannot drift from the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt


@dataclass(frozen=True)
class Key:
    """One key of a scenario table."""

    name: str
    annotation: Any  # as resolved, with its ranges
    default: Any
    meaning: str  # the comment beside the field; "" without one

    @property
    def allowed(self) -> str:
        """The allowed values as a phrase, e.g. "a number above 0 and at most 50"."""
        return phrase(self.annotation)

    @property
    def choices(self) -> tuple[str, ...]:
        """The names to choose from; empty for anything but a choice."""
        return tuple(str(c) for c in _choices(self.annotation))


@cache
def keys_of(table: type) -> dict[str, Key]:
    """The keys of a table (a dataclass or pydantic model) in their order."""
    hints = get_type_hints(table, include_extras=True)
    meanings = _comments(table)
    if dataclasses.is_dataclass(table):
        defaults = {f.name: _default(f) for f in dataclasses.fields(table) if f.init}
    else:
        fields: dict[str, Any] = table.model_fields  # type: ignore[attr-defined]
        defaults = {name: None if field.is_required() else field.get_default() for name, field in fields.items()}
    return {name: Key(name, hints[name], default, meanings.get(name, "")) for name, default in defaults.items()}


def is_table(annotation: Any) -> bool:
    """Whether a key holds a table of its own."""
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or hasattr(annotation, "model_fields")
    )


def table_of_items(annotation: Any) -> type | None:
    """The table of which a key holds any number (`tuple[table, ...]`); None for anything else."""
    items = get_args(annotation)
    if get_origin(annotation) is tuple and len(items) == 2 and items[1] is Ellipsis and is_table(items[0]):
        return items[0]  # type: ignore[no-any-return]
    return None


def table_in(annotation: Any) -> type | None:
    """The table a key holds, or holds any number of; None for anything else."""
    return annotation if is_table(annotation) else table_of_items(annotation)


def phrase(annotation: Any) -> str:
    """The values an annotation allows, in words.

    >>> from typing import Annotated, Literal
    >>> from annotated_types import Ge, Gt, Le
    >>> phrase(Annotated[float, Gt(0), Le(50)])
    'a number above 0 and at most 50'
    >>> phrase(Annotated[int, Ge(0)] | None)
    'a whole number, 0 or more, or left out'
    >>> phrase(Literal["a", "b"])
    'a, b'
    """
    bare, limits = _strip(annotation)
    if _choices(bare):
        return ", ".join(str(c) for c in _choices(bare))
    origin = get_origin(bare)
    if origin in (Union, types.UnionType):
        parts = [phrase(part) for part in get_args(bare) if part is not type(None)]
        return " or ".join(parts) + (", or left out" if type(None) in get_args(bare) else "")
    if table_of_items(bare) is not None:
        return "any number of tables"
    if origin in (tuple, list):
        inner = [part for part in get_args(bare) if part is not Ellipsis]
        count = "" if len(inner) != len(get_args(bare)) or origin is list else f"{len(inner)} "
        return f"a list of {count}values, each {phrase(inner[0])}" if inner else "a list"
    if is_table(bare) or origin is dict or bare is dict:
        return "a table"
    return _noun(bare) + _range(limits)


def _noun(bare: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
    return words.get(bare, "a value")


def _range(limits: list[Any]) -> str:
    low = next((limit for limit in limits if isinstance(limit, Ge | Gt)), None)
    high = next((limit for limit in limits if isinstance(limit, Le | Lt)), None)
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {_number(low.ge)} to {_number(high.le)}"
    below = (
        "" if high is None else f"at most {_number(high.le)}" if isinstance(high, Le) else f"below {_number(high.lt)}"
    )
    if isinstance(low, Ge):
        return f", {_number(low.ge)} or more" + (f" and {below}" if below else "")
    if isinstance(low, Gt):
        return f" above {_number(low.gt)}" + (f" and {below}" if below else "")
    return f" {below}" if below else ""


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _strip(annotation: Any) -> tuple[Any, list[Any]]:
    """The bare type and its limits."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    bare, *notes = get_args(annotation)
    return bare, list(_flatten(notes))


def _flatten(notes: list[Any]) -> Iterator[Any]:
    for note in notes:
        if isinstance(note, GroupedMetadata):
            yield from note
        else:
            yield note


def _choices(annotation: Any) -> tuple[Any, ...]:
    bare, _ = _strip(annotation)
    if get_origin(bare) is Literal:
        return get_args(bare)
    if get_origin(bare) in (Union, types.UnionType):
        return tuple(choice for part in get_args(bare) for choice in _choices(part))
    return ()


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


def _comments(table: type) -> dict[str, str]:
    """The comment beside, or else the docstring below, each field; those of the base tables included."""
    found: dict[str, str] = {}
    for base in reversed([table, *(base for base in table.__mro__[1:] if dataclasses.is_dataclass(base))]):
        found |= _comments_in_source(base)
    return found


def _comments_in_source(table: type) -> dict[str, str]:
    try:
        source = inspect.getsource(table)
    except (OSError, TypeError):
        return {}
    beside = {m[1]: m[2].strip() for m in re.finditer(r"^    (\w+)\s*:[^#\n]*#\s*(.+)$", source, re.MULTILINE)}
    below = re.finditer(r'^    (\w+)\s*:[^\n]*\n    """(.+?)"""', source, re.MULTILINE | re.DOTALL)
    return {m[1]: " ".join(m[2].split()) for m in below} | beside


# TOML out --------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A table as nested dicts and lists, as TOML has them; keys that are left out (None) are missing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: plain(item) for name, item in named.items() if item is not None}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def dump_table(table: Any, path: tuple[str, ...], allowed: Callable[[str], str]) -> list[str]:
    """A table and those inside it as lines of TOML, every key with its meaning and range.

    Args:
        table: a dataclass or pydantic model.
        path: names that lead to it.
        allowed: the allowed values of a dotted key, as a phrase.
    """
    lines: list[str] = []
    kind: type = type(table)
    known = keys_of(kind)
    if path:
        lines += ["", f"# {_purpose(kind)}", f"[{'.'.join(path)}]"]
    for name, key in known.items():
        if table_in(key.annotation) is None:
            lines += [*_note(key, (*path, name), allowed), _dump_key(name, getattr(table, name))]
    for name, key in known.items():
        items = table_of_items(key.annotation)
        if items is not None:
            lines += _dump_blocks(getattr(table, name), items, (*path, name), allowed)
        elif is_table(key.annotation):
            lines += dump_table(getattr(table, name), (*path, name), allowed)
    return lines


def _dump_blocks(
    tables: tuple[Any, ...], kind: type, path: tuple[str, ...], allowed: Callable[[str], str]
) -> list[str]:
    """One block for each table, the first with all keys explained; without any, that explanation alone."""
    head = f"[[{'.'.join(path)}]]"
    lines = ["", f"# {_purpose(kind)}", head if tables else f"# {head}"]
    for name, key in keys_of(kind).items():
        lines += [*_note(key, (*path, name), allowed), _dump_key(name, getattr(tables[0], name) if tables else None)]
    for table in tables[1:]:
        given = {name: getattr(table, name) for name in keys_of(kind)}
        lines += ["", head, *(_dump_key(name, value) for name, value in given.items() if value is not None)]
    return lines


def _purpose(kind: type) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]


def _note(key: Key, path: tuple[str, ...], allowed: Callable[[str], str]) -> list[str]:
    """Meaning and range of a key, as comments."""
    values = allowed(".".join(path))
    note = f"{key.meaning.rstrip('.')} [{values}]" if key.meaning else f"[{values}]"
    return textwrap.wrap(note, 110, initial_indent="# ", subsequent_indent="#   ")


def _dump_key(name: str, value: Any) -> str:
    return f"# {name} =" if value is None else f"{name} = {_toml(plain(value))}"


def _toml(value: Any) -> str:
    """One value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    raise TypeError(f"no TOML for a {type(value).__name__}")
