"""Buildings as the ray tracer wants them: one mesh of walls and roofs, materials, and a ground below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt32

from mndt.radio._llvm import RayTracer

Array = np.ndarray

Material = tuple[float, float, float, float, float, float]
"""Permittivity a f^b and conductivity c f^d in S/m with f in GHz; lowest and highest f."""

CONCRETE: Final[Material] = (5.24, 0.0, 0.0462, 0.7822, 1.0, 100.0)
GROUND: Final[Material] = (15.0, -0.1, 0.035, 1.63, 1.0, 10.0)
"""Medium dry. Both: ITU-R P.2040, table 3."""
NOTHING: Final[Material] = (1.0, 0.0, 0.0, 0.0, 1.0, 100.0)
"""As air, which reflects nothing."""

_GROUND_THICK_M: Final = 10.0  # nothing comes through
_MARGIN_M: Final = 200.0  # ground beyond the city and its buildings


def properties(material: Material, carrier_ghz: float) -> tuple[float, float]:
    """Relative permittivity and conductivity in S/m, ITU-R P.2040 equations (28) and (29).

    Outside the range of frequencies that the recommendation gives, those at its end.

    >>> properties(CONCRETE, 3.5)[0]
    5.24
    """
    a, b, c, d, lowest, highest = material
    f = min(max(carrier_ghz, lowest), highest)
    return a * f**b, c * f**d


def mesh_of(
    shapes: Array, height_m: Float[Array, "buildings"]
) -> tuple[Float32[Array, "vertices 3"], UInt32[Array, "faces 3"], Int32[Array, "faces"]]:
    """Walls and roofs of upright blocks as triangles, without floors.

    Args:
        shapes: valid polygons or multipolygons, possibly with holes; empty ones are left out.
        height_m: of each.

    Returns:
        Vertices (a part's own, so that no two parts share an edge), faces, and the building of each face.
    """
    parts, building = shapely.get_parts(shapes, return_index=True)
    if not len(parts):
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint32), np.empty(0, np.int32)
    start, end, wall_part = _walls(parts)
    roof, roof_part = _roofs(parts)
    corners = np.concatenate((start, end, roof.reshape(-1, 2)))
    owner = np.concatenate((wall_part, wall_part, np.repeat(roof_part, 3)))
    table, corner = np.unique(np.column_stack((owner, corners)), axis=0, return_inverse=True)
    corner = corner.reshape(-1)
    n, walls = len(table), len(start)
    low_start, low_end, top = corner[:walls], corner[walls : 2 * walls], corner[2 * walls :].reshape(-1, 3) + n
    high_start, high_end = low_start + n, low_end + n
    faces = np.concatenate(
        (np.stack((low_start, low_end, high_end), 1), np.stack((low_start, high_end, high_start), 1), top)
    )
    plan, roof_m = table[:, 1:], np.asarray(height_m, float)[building[table[:, 0].astype(np.int64)]]
    vertices = np.concatenate((np.column_stack((plan, np.zeros(n))), np.column_stack((plan, roof_m))))
    of_face = building[np.concatenate((wall_part, wall_part, roof_part))]
    return vertices.astype(np.float32), faces.astype(np.uint32), of_face.astype(np.int32)


def _walls(parts: Array) -> tuple[Float64[Array, "walls 2"], Float64[Array, "walls 2"], Int32[Array, "walls"]]:
    """Both ends of every wall, seen from above, and its part."""
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    wall = (ring[:-1] == ring[1:]) & np.any(points[:-1] != points[1:], axis=1)
    return points[:-1][wall], points[1:][wall], part[ring[:-1][wall]].astype(np.int32)


def _roofs(parts: Array) -> tuple[Float64[Array, "triangles 3 2"], Int32[Array, "triangles"]]:
    """Footprints cut into triangles whose corners are the footprint's own, and the part of each."""
    triangles, part = shapely.get_parts(shapely.constrained_delaunay_triangles(parts), return_index=True)
    corners = shapely.get_coordinates(triangles).reshape(-1, 4, 2)[:, :3]
    return corners, part.astype(np.int32)


def build(
    tracer: RayTracer,
    vertices: Float32[Array, "vertices 3"],
    faces: UInt32[Array, "faces 3"],
    wall_m: float,
    half_m: tuple[float, float],
    *,
    ground: bool = True,
) -> Any:
    """A Sionna RT scene of buildings on flat ground, isotropic vertical antennas at both ends.

    Args:
        tracer: the loaded ray tracer.
        vertices: about the origin, so that single precision is fine enough.
        faces: corners of each triangle.
        wall_m: thickness of walls and roofs.
        half_m: half the city's width and depth.
        ground: whether it reflects; else it swallows what meets it.
    """
    rt, scene = tracer.rt, tracer.rt.load_scene()
    reach = [half + _MARGIN_M for half in half_m]
    flat = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], np.float32) * np.array([*reach, 1.0], np.float32)
    objects = [
        ("ground", flat, np.array([[0, 1, 2], [0, 2, 3]], np.uint32), GROUND if ground else NOTHING, _GROUND_THICK_M)
    ]
    if len(faces):
        objects.append(("buildings", vertices, faces, CONCRETE, wall_m))
    added = []
    for name, points, triangles, material, thickness_m in objects:
        radio = rt.RadioMaterial(f"{name}-material", thickness_m, frequency_update_callback=_updating(tracer, material))
        mesh = _mesh(tracer, name, points, triangles)
        added.append(rt.SceneObject(mi_mesh=mesh, name=name, radio_material=radio))
    scene.edit(add=added)
    antenna = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    scene.tx_array = scene.rx_array = antenna
    return scene


def _updating(tracer: RayTracer, material: Material) -> Any:
    """What tells the ray tracer a material's properties whenever the carrier changes."""

    def update(frequency_hz: Any) -> tuple[Any, Any]:
        permittivity, conductivity = properties(material, float(frequency_hz[0]) / 1e9)
        return tracer.mi.Float(permittivity), tracer.mi.Float(conductivity)

    return update


def _mesh(tracer: RayTracer, name: str, vertices: Array, faces: Array) -> Any:
    mi = tracer.mi
    mesh = mi.Mesh(name, len(vertices), len(faces), has_vertex_normals=False, has_vertex_texcoords=False)
    fields = mi.traverse(mesh)
    fields["vertex_positions"], fields["faces"] = mi.Float(vertices.ravel()), mi.UInt32(faces.ravel())
    fields.update()
    return mesh


def sound(
    shapes: Array, height_m: Float[Array, "buildings"], least_m: float, most_m: float
) -> tuple[Bool[Array, "buildings"], Sequence[str]]:
    """Which buildings can be traced, and what is wrong with the others, counted in words."""
    height = np.asarray(height_m, float)
    empty = shapely.is_empty(shapes)
    flat = ~empty & ~(height >= least_m)  # written so that NaN counts as flat
    high = ~empty & (height > most_m)
    words = (
        (empty, "without ground"),
        (flat, f"lower than {least_m:g} m"),
        (high, f"higher than {most_m:g} m"),
    )
    said = [f"{int(wrong.sum())} buildings {what} not traced" for wrong, what in words if wrong.any()]
    return ~(empty | flat | high), said
