"""For all floors: a property's examples may take as long as a busy machine needs, and a test that much longer on a slow one."""

import hypothesis
import pytest

from tests import slowness

hypothesis.settings.register_profile("corral", deadline=None)
hypothesis.settings.load_profile("corral")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items if slowness.FACTOR != 1 else ():
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else float(config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(slowness.scaled(seconds)), append=False)
