from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

import mndt
from mndt.city.model import City
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.radio.parameters import RadioParameters
from mndt.radio.validity import check_validity

HAMLET = synthetic_city(size_m=300.0, lanes=40, areas=12, outdoor_sites=1, indoor_sites=1)


def on(outdoor_ghz: float, indoor_ghz: float = 3.5) -> City:
    return replace(HAMLET, cells=replace(HAMLET.cells, carrier_hz=np.array([outdoor_ghz, indoor_ghz]) * 1e9))


@pytest.mark.parametrize(
    ("scenario", "carrier_ghz"), [("UMi", 0.5), ("UMi", 100), ("UMa", 0.5), ("UMa", 100), ("RMa", 0.5), ("RMa", 30)]
)
def test_the_ends_of_the_range_are_inside(scenario: str, carrier_ghz: float) -> None:
    check_validity(on(carrier_ghz), RadioParameters(scenario=scenario))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scenario", "carrier_ghz", "allowed"),
    [("UMi", 0.45, "0.5 to 100"), ("UMa", 101, "0.5 to 100"), ("RMa", 39, "0.5 to 30"), ("UMi", np.nan, "0.5 to 100")],
)
def test_a_carrier_outside_the_range_is_refused(scenario: str, carrier_ghz: float, allowed: str) -> None:
    sentence = f"cell O001-1: carrier_ghz is {carrier_ghz:g}, allowed is {allowed} GHz with {scenario}"
    with pytest.raises(InputError, match=sentence):
        check_validity(on(carrier_ghz), RadioParameters(scenario=scenario))  # type: ignore[arg-type]


def test_indoor_stations_have_a_range_of_their_own() -> None:
    check_validity(on(3.5, 60.0), RadioParameters(scenario="RMa"))
    with pytest.raises(InputError, match=r"cell I001-1: carrier_ghz is 0\.4, allowed is 0\.5 to 100 GHz with InH"):
        check_validity(on(3.5, 0.4), RadioParameters())


def test_a_world_is_not_built_on_it() -> None:
    with pytest.raises(InputError, match="GHz with RMa; change the carrier or radio"):
        mndt.build_world(on(60.0), radio=RadioParameters(scenario="RMa"))


def test_links_longer_than_the_model_reaches_are_told(caplog: pytest.LogCaptureFixture) -> None:
    far = replace(HAMLET, frame=replace(HAMLET.frame, width_m=4000.0, depth_m=4000.0))
    sites = replace(far.sites, x_m=np.array([1000.0, 0.0]), y_m=np.array([0.0, 0.0]))
    with caplog.at_level(logging.WARNING):
        check_validity(replace(far, sites=sites), RadioParameters())  # 3, 4, 5
        assert not caplog.text
        check_validity(replace(far, sites=replace(sites, x_m=np.array([900.0, 0.0]))), RadioParameters())
    assert "links of up to 5.1 km; UMi holds up to 5 km" in caplog.text
