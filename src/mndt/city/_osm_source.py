"""The only place that talks to pyrosm: a map file in, plain arrays, shapes and tags out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32, Int64

from mndt.city._osm_box import Box
from mndt.errors import InputError

Array = np.ndarray
TagRow = dict[str, object]

_IN_MEMORY_BYTES: Final = 64_000_000
"""Files up to this size are read at once; larger ones stream through pyrosm's bounded-memory engine."""
_MARGIN_M: Final = 300.0
"""Read beyond the box so that what crosses its border arrives whole and is cut by us."""

_PLACES: Final[dict[str, bool | list[str]]] = {
    "amenity": True, "shop": True, "office": True, "leisure": True, "landuse": True, "tourism": True,
    "place": ["square"], "railway": ["station", "halt"], "public_transport": ["station"], "natural": ["beach"],
    "highway": ["pedestrian", "traffic_signals", "crossing"],
}  # fmt: skip
_PLACE_TAGS: Final = [*_PLACES, "crossing", "crossing:signals", "area"]
_NOT_TAGS: Final = frozenset(
    {"id", "geometry", "osm_type", "tags", "u", "v", "length", "lon", "lat"}
    | {"visible", "version", "timestamp", "changeset"}
)


@dataclass(frozen=True)
class Layers:
    """What the twin takes from a map. Shapes are shapely geometries in degrees."""

    node_id: Int64[Array, "nodes"]
    node_lon_lat: Float64[Array, "nodes 2"]
    segment_from: Int64[Array, "segments"]  # node ids; a segment is a way's piece between two of its nodes
    segment_to: Int64[Array, "segments"]
    segment_way: Int32[Array, "segments"]  # row of way_tags
    way_tags: list[TagRow]
    building_shape: Array  # object[buildings]
    building_tags: list[TagRow]
    place_id: Int64[Array, "places"]  # OSM ids, unique only among nodes
    place_shape: Array  # object[places]
    place_tags: list[TagRow]


def _unreadable(path: Path, why: str) -> InputError:
    return InputError("map file", f"'{path}'", allowed="an OpenStreetMap extract in PBF format (*.osm.pbf)", fix=why)


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Silence pyrosm's and geopandas' warnings, and turn whatever breaks inside into one sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # pyrosm lets protobuf, zlib, index and key errors through
            reason = f"the file is damaged, cut short or of another format ({type(error).__name__}), download it again"
            raise _unreadable(path, reason) from error


def extract_box(path: Path) -> Box | None:
    """The box written in the header of an extract, None if it has none.

    Raises:
        InputError: the file is missing or is no PBF.
    """
    if not path.is_file():
        raise _unreadable(path, "the file does not exist" if not path.exists() else "this is a folder, name a file")
    if path.suffix.lower() != ".pbf":
        raise _unreadable(path, "convert it with 'osmium cat IN -o OUT.osm.pbf'")
    with _guarded(path):
        from pyrosm.utils import get_bounding_box

        shape = get_bounding_box(str(path))
        if shape is None or not shape.area > 0:
            return None
        west, south, east, north = shape.bounds
    # The header counts nano-degrees inwards or outwards; the neighbouring 1e-7 is the map's own grain.
    return Box(*(round(value, 7) for value in (west, max(south, -80), east, min(north, 84))))


def read_layers(path: Path, box: Box | None) -> Layers:
    """Ways, buildings and places of an extract, around `box` or all of it.

    Raises:
        InputError: the file is damaged, or has no streets or no buildings there.
    """
    with _guarded(path):
        import pyrosm

        streamed = path.stat().st_size > _IN_MEMORY_BYTES
        around = None if box is None else list(box.grown(_MARGIN_M).edges)
        osm = pyrosm.OSM(
            str(path),
            around,
            keep_metadata=False,
            complete_relations=around is not None,
            engine="out_of_core" if streamed else "in_memory",
            progress=False,
        )
        nodes, segments = osm.get_network("all", nodes=True)
        buildings = osm.get_buildings()
        places = osm.get_data_by_custom_criteria(
            _PLACES,
            tags_as_columns=_PLACE_TAGS,
            filter_type="keep",
            keep_nodes=True,
            keep_ways=True,
            keep_relations=True,
        )
        if streamed:  # the engine leaves its intermediate files in the temporary folder
            osm.clear_cache(str(path))
        where = f"inside {box}" if box is not None else "in the map"
        missing = "streets" if _empty(segments) or _empty(nodes) else "buildings" if _empty(buildings) else ""
        if not missing:
            return _layers(nodes, segments, buildings, places)
    raise nothing_there(path, missing, where)


def nothing_there(path: Path, what: str, where: str) -> InputError:
    """The error for a map that lacks streets or buildings."""
    return InputError(
        "map file",
        f"'{path}' with no {what} {where}",
        allowed="a map with streets and buildings",
        fix=f"choose another box or an extract that was not filtered for other things than {what}",
    )


def _empty(frame: Any) -> bool:
    return frame is None or len(frame) == 0


def _layers(nodes: Any, segments: Any, buildings: Any, places: Any) -> Layers:
    _, first, way = np.unique(segments["id"].to_numpy(), return_index=True, return_inverse=True)
    return Layers(
        node_id=nodes["id"].to_numpy(np.int64),
        node_lon_lat=np.column_stack([nodes["lon"].to_numpy(np.float64), nodes["lat"].to_numpy(np.float64)]),
        segment_from=segments["u"].to_numpy(np.int64),
        segment_to=segments["v"].to_numpy(np.int64),
        segment_way=way.astype(np.int32),
        way_tags=_tag_rows(segments.iloc[first]),
        building_shape=_shapes(buildings),
        building_tags=_tag_rows(buildings),
        place_id=np.empty(0, np.int64) if _empty(places) else places["id"].to_numpy(np.int64),
        place_shape=_shapes(places),
        place_tags=[] if _empty(places) else _tag_rows(places),
    )


def _shapes(frame: Any) -> Array:
    return np.empty(0, dtype=object) if _empty(frame) else np.asarray(frame.geometry.to_numpy(), dtype=object)


def _tag_rows(frame: Any) -> list[TagRow]:
    """One dict of tags per row: from the columns, and from the JSON text of the rarer ones."""
    rows: list[TagRow] = [_rare(value) for value in frame["tags"]] if "tags" in frame else [{} for _ in frame.index]
    for column in frame.columns:
        if column in _NOT_TAGS:
            continue
        values = frame[column]
        present = np.flatnonzero(values.notna().to_numpy())
        for row, value in zip(present.tolist(), values.iloc[present].tolist(), strict=True):
            rows[row][column] = value
    return rows


def _rare(value: object) -> TagRow:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return dict(value) if isinstance(value, dict) else {}
