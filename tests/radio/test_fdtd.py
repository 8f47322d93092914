import numpy as np
import pytest

from mndt.errors import InputError
from mndt.radio import fdtd
from mndt.units import LIGHT_MPS

CARRIER_HZ = 1e9
WAVELENGTH_M = LIGHT_MPS / CARRIER_HZ


def _plain_steps(scene, source, values):
    """Yee's equations without an absorbing layer, written down in NumPy."""
    shape = scene.permittivity.shape
    ez, hx, hy = (np.zeros(shape) for _ in range(3))
    loss = scene.conductivity * scene.step_s / (2 * scene.permittivity * fdtd.VACUUM_F_PER_M)
    inside = np.zeros(shape, bool)
    inside[1:-1, 1:-1] = True
    inside &= ~scene.conductor
    for value in values:
        hx[:-1] -= fdtd.COURANT * np.diff(ez, axis=0)
        hy[:, :-1] += fdtd.COURANT * np.diff(ez, axis=1)
        curl = hy - np.roll(hy, 1, axis=1) - hx + np.roll(hx, 1, axis=0)
        new = (1 - loss) / (1 + loss) * ez + fdtd.COURANT / scene.permittivity / (1 + loss) * curl
        ez = np.where(inside, new, 0.0)
        ez[source] += value
    return ez


def test_many_steps_in_one_passage_are_the_plain_equations():
    draws = np.random.default_rng(3)
    scene = fdtd.Slice.empty(23, 31, 0.01)
    scene.permittivity[:] = draws.uniform(1, 5, scene.permittivity.shape)
    scene.conductivity[:] = draws.uniform(0, 0.2, scene.permittivity.shape)
    scene.conductor[5:8, 20:25] = True
    grid, values = fdtd._Grid(scene, CARRIER_HZ, (0, 0)), draws.normal(size=40).astype(np.float32)
    amplitudes = np.zeros(31, np.float32)
    amplitudes[9] = 1.0
    for share in np.split(values, [1, 3, 20]):
        grid.run(11, amplitudes, share)
    plain = _plain_steps(scene, (11, 9), values)
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(grid.ez, plain, atol=2e-6 * np.abs(plain).max() * len(values))


def test_a_pulse_travels_at_the_speed_of_light():
    scene = fdtd.Slice.empty(40, 300, WAVELENGTH_M / 20)
    grid = fdtd._Grid(scene, CARRIER_HZ, (12, 12))
    amplitudes = np.zeros(300, np.float32)
    amplitudes[20] = 1.0
    times_s = np.arange(700) * scene.step_s
    pulse = np.exp(-(((times_s - 3e-9) / 1e-9) ** 2)).astype(np.float32)
    seen = []
    for value in pulse:
        grid.run(20, amplitudes, np.array([value]))
        seen.append(grid.ez[20, [70, 230]])
    first, second = np.argmax(np.abs(np.diff(seen, axis=0)), axis=0) * scene.step_s
    assert 160 * scene.cell_m / (second - first) == pytest.approx(LIGHT_MPS, rel=0.01)


@pytest.fixture(scope="module")
def vacuum():
    return fdtd.simulate(fdtd.Slice.empty(280, 240, WAVELENGTH_M / 20), (130, 110), CARRIER_HZ)


def test_a_line_source_has_the_field_of_the_closed_form(vacuum):
    distance_m = vacuum.distance_m()[13:-13, 13:-13]
    far = distance_m > WAVELENGTH_M
    ratio = vacuum.green[13:-13, 13:-13][far] / fdtd.free_field(distance_m[far], CARRIER_HZ)
    assert np.abs(np.abs(ratio) - 1.0).max() < 0.02
    assert np.abs(np.angle(ratio)).max() < 0.15
    assert vacuum.left < 1e-5


def test_the_field_falls_with_the_root_of_the_distance(vacuum):
    lattice = np.abs(vacuum.green[130, 130:220])
    along_m = np.arange(20, 110) * vacuum.cell_m
    slope = np.polyfit(np.log(along_m), np.log(lattice), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.005)


def test_samples_of_the_field_are_the_field(vacuum):
    sampled = fdtd.simulate(fdtd.Slice.empty(280, 240, WAVELENGTH_M / 20), (130, 110), CARRIER_HZ, every=4)
    np.testing.assert_allclose(sampled.green, vacuum.green[::4, ::4], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(sampled.distance_m(), vacuum.distance_m()[::4, ::4])


def test_source_and_point_may_change_places():
    scene = fdtd.Slice.empty(120, 150, WAVELENGTH_M / 30)
    scene.permittivity[40:70, 60:90], scene.conductivity[40:70, 60:90] = 5.24, 0.0462
    scene.conductor[20:30, 100:120] = True
    one, other = (30, 40), (90, 120)
    there = fdtd.simulate(scene, one, CARRIER_HZ, until=1e-8).green[other]
    back = fdtd.simulate(scene, other, CARRIER_HZ, until=1e-8).green[one]
    assert there == pytest.approx(back, rel=2e-3)


def test_the_boundary_takes_the_energy_and_a_conductor_keeps_it():
    scene = fdtd.Slice.empty(100, 100, WAVELENGTH_M / 20)
    open_plane = fdtd.simulate(scene, (50, 50), CARRIER_HZ, most_s=15e-9, until=0.0)
    box = fdtd.simulate(scene, (50, 50), CARRIER_HZ, absorber=(0, 0), most_s=15e-9, until=0.0)
    assert open_plane.left < 1e-6
    assert box.left > 0.05


def _slab_transmission(permittivity, conductivity, thickness_m, sine):
    """Rec. ITU-R P.2040-4 equations (37a), (43b) and (44), electric field across the plane of incidence."""
    eta = permittivity - 1j * conductivity / (2 * np.pi * CARRIER_HZ * fdtd.VACUUM_F_PER_M)
    root, cosine = np.sqrt(eta - sine**2), np.sqrt(1 - sine**2)
    face = (cosine - root) / (cosine + root)
    phase = np.exp(-2j * np.pi * thickness_m / WAVELENGTH_M * root)
    return (1 - face**2) * phase / (1 - face**2 * phase**2)


@pytest.mark.parametrize("slab_cells", [10, 19])
def test_a_slab_lets_through_what_the_recommendation_says(slab_cells):
    # Between conducting walls the lowest mode is two plane waves at an angle with sine = wavelength / (2 width).
    cell_m, width = WAVELENGTH_M / 40, 36
    profile = np.sin(np.pi * np.arange(width + 1) / width)
    fields = []
    for cells in (0, slab_cells):
        scene = fdtd.Slice.empty(240, width + 1, cell_m)
        scene.permittivity[90 : 90 + cells], scene.conductivity[90 : 90 + cells] = 5.24, 0.0462
        fields.append(fdtd.simulate(scene, (50, profile), CARRIER_HZ, absorber=(40, 0)))
    passed = fields[1].green[180, width // 2] / fields[0].green[180, width // 2]
    sine = WAVELENGTH_M / (2 * width * cell_m)
    cosine = np.sqrt(1 - sine**2)
    ahead = np.exp(2j * np.pi * slab_cells * cell_m / WAVELENGTH_M * cosine)  # of the air the slab replaces
    expected = _slab_transmission(5.24, 0.0462, slab_cells * cell_m, sine) * ahead
    assert abs(passed) == pytest.approx(abs(expected), rel=0.03)
    assert np.angle(passed / expected) == pytest.approx(0.0, abs=0.12)


def test_what_cannot_be_solved_is_refused():
    scene = fdtd.Slice.empty(60, 60, 0.05)
    with pytest.raises(InputError, match=r"cell_m is 0\.05, allowed is up to 0\.03747 m here"):
        fdtd.simulate(scene, (30, 30), CARRIER_HZ)
    fine = fdtd.Slice.empty(60, 60, 0.01)
    with pytest.raises(InputError, match="source"):
        fdtd.simulate(fine, (5, 30), CARRIER_HZ)
    with pytest.raises(InputError, match="absorber"):
        fdtd.simulate(fine, (30, 30), CARRIER_HZ, absorber=(30, 12))
    fine.conductor[30, 30] = True
    with pytest.raises(InputError, match="source"):
        fdtd.simulate(fine, (30, 30), CARRIER_HZ)
