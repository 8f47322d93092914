"""KML and KMZ written: a picture laid over the ground, and shapes, in degrees of WGS 84 (OGC 12-007r2)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError
from mndt.files import whole_file

Array = np.ndarray


@dataclass(frozen=True)
class Overlay:
    """A picture with its top row in the north and parallel to it."""

    name: str
    png: bytes
    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float


@dataclass(frozen=True)
class Shape:
    """A filled outline with a name."""

    name: str
    text: str
    longitude_deg: Float64[Array, "points"]
    latitude_deg: Float64[Array, "points"]
    colour: str  # "#rrggbb"


def write(
    path: str | Path,
    name: str,
    *,
    overlay: Overlay,
    shapes: Sequence[Shape] = (),
    folder: str = "Cells",
    text: str = "",
    legend_png: bytes | None = None,
) -> list[Path]:
    """Write a ``.kmz`` with everything in it, or a ``.kml`` with its pictures beside it.

    Args:
        path: the file; its ending decides.
        name: of the document.
        overlay: the picture on the ground.
        shapes: outlines over it, in a folder of their own.
        folder: its name.
        text: about the whole, e.g. the attribution.
        legend_png: a picture that stays in the lower left of the screen.

    Returns:
        The files written.

    Raises:
        InputError: the folder does not exist or may not be written.
    """
    path = Path(path)
    pictures = {"map": overlay.png} | ({"legend": legend_png} if legend_png else {})
    packed = path.suffix.lower() == ".kmz"
    names = {part: f"{part}.png" if packed else f"{path.stem}-{part}.png" for part in pictures}
    document = "\n".join(_document(name, overlay, shapes, folder, text, names)) + "\n"
    try:
        if packed:
            with whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(zipfile.ZipInfo("doc.kml"), document)  # first, as readers expect; a fixed date
                for which, png in pictures.items():
                    archive.writestr(zipfile.ZipInfo(names[which]), png)
            return [path]
        for which, png in pictures.items():
            with whole_file(path.with_name(names[which])) as part:
                part.write_bytes(png)
        with whole_file(path) as part:
            part.write_text(document, encoding="utf-8", newline="\n")
    except OSError as error:
        fix = f"choose another place ({error.strerror})"
        raise InputError("--out", f"'{path}'", allowed="a file in a folder that exists", fix=fix) from error
    return [path, *(path.with_name(names[which]) for which in pictures)]


def _document(
    name: str, overlay: Overlay, shapes: Sequence[Shape], folder: str, text: str, pictures: dict[str, str]
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<kml xmlns="http://www.opengis.net/kml/2.2">'
    yield f"<Document><name>{escape(name)}</name><description>{escape(text)}</description>"
    for colour in sorted({shape.colour for shape in shapes}):
        yield (
            f'<Style id="c{colour[1:]}"><LineStyle><color>ff26201b</color><width>1</width></LineStyle>'
            f"<PolyStyle><color>{_abgr(colour, 0xD9)}</color></PolyStyle></Style>"
        )
    yield (
        f"<GroundOverlay><name>{escape(overlay.name)}</name><color>c8ffffff</color><Icon><href>{escape(pictures['map'])}</href></Icon>"
        f"<LatLonBox><north>{overlay.north_deg:.9f}</north><south>{overlay.south_deg:.9f}</south>"
        f"<east>{overlay.east_deg:.9f}</east><west>{overlay.west_deg:.9f}</west></LatLonBox></GroundOverlay>"
    )
    if "legend" in pictures:
        yield (
            f"<ScreenOverlay><name>Legend</name><Icon><href>{escape(pictures['legend'])}</href></Icon>"
            '<overlayXY x="0" y="0" xunits="fraction" yunits="fraction"/>'
            '<screenXY x="12" y="36" xunits="pixels" yunits="pixels"/>'
            '<size x="0" y="0" xunits="pixels" yunits="pixels"/></ScreenOverlay>'
        )
    if shapes:
        yield f"<Folder><name>{escape(folder)}</name>"
        yield from map(_placemark, shapes)
        yield "</Folder>"
    yield "</Document></kml>"


def _placemark(shape: Shape) -> str:
    ring = [*zip(shape.longitude_deg, shape.latitude_deg, strict=True)]
    points = " ".join(f"{x:.7f},{y:.7f},0" for x, y in (*ring, *ring[:1]))
    return (
        f"<Placemark><name>{escape(shape.name)}</name><description>{escape(shape.text)}</description>"
        f"<styleUrl>#c{shape.colour[1:]}</styleUrl><Polygon><outerBoundaryIs><LinearRing>"
        f"<coordinates>{points}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )


def _abgr(colour: str, alpha: int) -> str:
    """A colour as KML writes it: alpha, blue, green, red.

    >>> _abgr("#0072b2", 255)
    'ffb27200'
    """
    return f"{alpha:02x}{colour[5:7]}{colour[3:5]}{colour[1:3]}"
