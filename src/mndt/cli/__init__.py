"""The command line: parse, call, print. Whatever a verb needs is imported inside it."""

from mndt.cli import care, data, figures, plans, twin
from mndt.cli.app import main

__all__ = ["care", "data", "figures", "main", "plans", "twin"]
