from __future__ import annotations

import little_town
import pytest
from little_town import Town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return little_town.build(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="session")
def still_town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The same without fading."""
    return little_town.build(tmp_path_factory.mktemp("maps"), fading=False)
