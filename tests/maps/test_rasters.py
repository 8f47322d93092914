"""Maps say what the gains say, pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.maps.rasters import KINDS, Network, difference, masked, raster_of, summary
from mndt.radio.aiming import GainMaps
from mndt.radio.layers import encode, layers_of
from mndt.radio.maps import SiteMaps
from mndt.world import as_built
from small_city import small_city

CELL_M = 20.0
SHAPE = (15, 10)
NOISE_W = 10.0**-20.4 * 180e3  # -174 dBm/Hz


def network(*, seed: int = 0, carrier_hz=3.5e9, power_w=None, noise_figure_db: float = 0.0) -> Network:
    """Random gains of four cells of two stations."""
    city = small_city()
    city = replace(city, cells=replace(city.cells, carrier_hz=np.broadcast_to(carrier_hz, 4).astype(float)))
    rng = np.random.default_rng(seed)
    settings = as_built(city)
    if power_w is not None:
        settings = replace(settings, power_w=np.asarray(power_w, np.float32))
    layers = layers_of(city)
    gain, loss = rng.uniform(-120.0, -70.0, (*SHAPE, 4)), rng.uniform(60.0, 140.0, (*SHAPE, len(layers)))
    site_maps = SiteMaps(CELL_M, encode(-loss, rng.random((*SHAPE, len(layers))) < 0.3), layers, 1.5)
    maps = GainMaps(CELL_M, encode(gain, np.ones((*SHAPE, 4), bool)))
    return Network(city, settings, site_maps, maps, noise_figure_db)


def gains(net: Network) -> np.ndarray:
    return 10.0 ** ((net.maps.level >> 1) / 640.0)


@pytest.mark.parametrize("carrier_hz", [3.5e9, (3.5e9, 2.1e9, 3.5e9, 2.1e9)])
@pytest.mark.parametrize("load", [0.0, 0.4, 1.0])
def test_sinr_is_own_power_over_noise_and_the_others_on_the_carrier(carrier_hz, load):
    net = network(carrier_hz=carrier_hz, power_w=[1.0, 2.0, 0.5, 0.0], noise_figure_db=9.0)
    power_w = gains(net) * [1.0, 2.0, 0.5, 0.0] / 45.0
    noise_w = NOISE_W * 10.0**0.9
    raster, carriers = raster_of(net, "sinr", load=load), net.city.cells.carrier_hz
    for row, col in np.ndindex(SHAPE):
        here = power_w[row, col]
        best = int(here.argmax())
        rivals = [c for c in range(4) if c != best and carriers[c] == carriers[best]]
        others = sum(here[c] for c in rivals)
        expected = 10.0 * np.log10(here[best] / (load * others + noise_w))
        assert raster.values[row, col] == pytest.approx(expected, abs=0.02)


def test_levels_and_servers_are_those_of_the_strongest_cell():
    net = network(power_w=[1.0, 2.0, 0.5, 0.25])
    dbm = 10.0 * np.log10(gains(net) * [1.0, 2.0, 0.5, 0.25] / 45.0) + 30.0
    np.testing.assert_allclose(raster_of(net, "rsrp").values, dbm.max(axis=2), atol=1e-3)
    best = raster_of(net, "best-server")
    np.testing.assert_array_equal(best.values, dbm.argmax(axis=2))
    assert best.names == net.city.cells.name


def test_of_a_station_only_the_area_it_serves_is_told():
    net = network()
    best = raster_of(net, "best-server").values
    for layer in ("rsrp", "sinr", "best-server"):
        whole, part = raster_of(net, layer), raster_of(net, layer, (0, 2))
        served = np.isin(best, (0, 2))
        np.testing.assert_array_equal(np.isfinite(part.values), served)
        np.testing.assert_array_equal(part.values[served], whole.values[served])


def test_gain_and_loss_of_a_station():
    net = network()
    level = (net.maps.level >> 1) / 64.0
    np.testing.assert_array_equal(raster_of(net, "gain", (1, 2)).values, level[:, :, 1:3].max(axis=2))
    np.testing.assert_array_equal(raster_of(net, "gain").values, level.max(axis=2))
    layer = net.site_maps.layers.of_cell[3]
    np.testing.assert_array_equal(raster_of(net, "loss", (3,)).values, net.site_maps.loss_db()[:, :, layer])
    np.testing.assert_array_equal(raster_of(net, "los", (3,)).values, net.site_maps.sight()[:, :, layer])


def test_a_network_that_is_off_has_no_level_anywhere():
    net = network(power_w=np.zeros(4))
    for layer in ("rsrp", "sinr", "best-server"):
        raster = raster_of(net, layer)
        assert not raster.known.size
        assert summary(raster) == ["no value anywhere"]


def test_a_difference_is_after_minus_before():
    before, after = network(seed=1), network(seed=2)
    for layer in ("gain", "rsrp", "sinr"):
        a, b = raster_of(before, layer), raster_of(after, layer)
        change = difference(a, b)
        np.testing.assert_allclose(change.values, b.values - a.values)
        assert change.unit == "dB"
    servers = difference(raster_of(before, "best-server"), raster_of(after, "best-server"))
    moved = before.best[1] != after.best[1]
    np.testing.assert_array_equal(np.isfinite(servers.values), moved)
    np.testing.assert_array_equal(servers.values[moved], after.best[1][moved])
    assert summary(servers) == [f"another cell serves on {moved.mean():.1%} of the area"]
    nothing = difference(raster_of(after, "best-server"), raster_of(after, "best-server"))
    assert summary(nothing) == ["nothing changes"]


def test_words_for_a_difference_know_what_is_better():
    net = network()
    raster = raster_of(net, "sinr")
    up = replace(raster, values=raster.values + 2.0)
    assert summary(difference(raster, up))[0] == "better by over 1 dB on 100.0% of the area, worse on 0.0%"
    assert summary(difference(up, raster))[0] == "better by over 1 dB on 0.0% of the area, worse on 100.0%"


def test_what_does_not_fit_is_told():
    net = network()
    with pytest.raises(InputError, match="did you mean 'gain'"):
        raster_of(net, "gian")
    for layer in ("los", "loss"):
        with pytest.raises(InputError, match="with --site or --cell"):
            raster_of(net, layer)
        raster = raster_of(net, layer, (0,))
        with pytest.raises(InputError, match="which no setting changes"):
            difference(raster, raster)
    assert set(KINDS) == {"gain", "loss", "los", "rsrp", "best-server", "sinr"}


def test_a_mask_leaves_the_rest_alone():
    raster = raster_of(network(), "gain")
    where = np.zeros(SHAPE, bool)
    where[3, 4] = True
    part = masked(raster, where)
    assert part.known.tolist() == [raster.values[3, 4]]
