"""The errors a user can cause, each one sentence that names field, value, allowed range and fix."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MndtError(Exception):
    """Base of all errors of the twin; the command line prints its text and exits with code 2."""


class InputError(MndtError):
    """A file, option or value from outside does not fit.

    >>> print(InputError("azimuth_deg", 400, allowed="0 to 360 deg", fix="give the bearing", where="cells.csv line 3"))
    cells.csv line 3: azimuth_deg is 400, allowed is 0 to 360 deg; give the bearing.
    """

    def __init__(self, field: str, value: object, *, allowed: str, fix: str, where: str = "") -> None:
        self.field, self.value, self.allowed, self.fix, self.where = field, value, allowed, fix, where
        prefix = f"{where}: " if where else ""
        end = "" if fix.endswith("?") else "."
        super().__init__(f"{prefix}{field} is {value}, allowed is {allowed}; {fix}{end}")


def unknown_name(field: str, value: str, known: Iterable[str], *, where: str = "") -> InputError:
    """The error for a name outside a list, with the nearest known name as the fix.

    >>> print(unknown_name("policy", "fundamental", ["fundamentals", "proportional-fair"]))
    policy is 'fundamental', allowed is fundamentals, proportional-fair; did you mean 'fundamentals'?
    """
    names = sorted(known)
    close = get_close_matches(value, names, n=1, cutoff=0.5)
    fix = f"did you mean '{close[0]}'?" if close else "choose one of these"
    return InputError(field, f"'{value}'", allowed=", ".join(names), fix=fix, where=where)
