"""What pictures and reports read from: tables as DuckDB has them."""

from __future__ import annotations

from typing import Any, Protocol


class Table(Protocol):
    """A table as DuckDB has it; expressions are SQL, so that long runs are summed up without being read whole."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""

    def fetchnumpy(self) -> Any:
        """A dict: column name -> array."""

    def filter(self, expression: str, /) -> Table:
        """The rows for which it holds."""

    def project(self, expressions: str, /) -> Table:
        """Some columns."""

    def aggregate(self, expressions: str, groups: str = "", /) -> Table:
        """One row for each group."""
