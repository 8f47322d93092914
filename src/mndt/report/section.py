"""What a page is made of: sections, the parts that make them, and templates to fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

    from mndt.report.view import View


@dataclass(frozen=True)
class Section:
    """A chapter of the page: its heading, its body in HTML, and a word for the table of contents."""

    title: str
    html: str
    name: str = ""  # anchor; made from the title when left out
    lead: str = ""  # one sentence below the heading

    @property
    def anchor(self) -> str:
        """What a link leads to.

        >>> Section("Energy, by hour", "").anchor
        'energy-by-hour'
        """
        text = "".join(c if c.isalnum() else " " for c in (self.name or self.title).lower())
        return "-".join(text.split())


Part = Callable[["View"], Section | None]
"""Makes one section of the runs, or none where it has nothing to say."""

TEMPLATES: Final = "templates"


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The HTML of a template with its values; texts are escaped, pictures marked safe by the template."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from mndt.pictures import words

    made = Environment(
        loader=PackageLoader("mndt", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"digits": words.digits, "signed": words.signed}
    return made
