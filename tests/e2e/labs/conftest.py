"""Labs brought up whole, as a user does it: `make test-labs`. What they run on is fetched, or was.

A cluster is brought up once for all tests of a file, in the order of the file: each leaves it usable.
"""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.labs.cluster import Cluster

HERE = pathlib.Path(__file__).parent
PARTS = "/var/cache/corral/labs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(600), append=False)
            if not os.environ.get("CORRAL_TEST_LABS"):
                item.add_marker(pytest.mark.skip(reason="a cluster of JVMs: make test-labs"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """A failure keeps what one wants to see of the cluster as it is then."""
    report = yield
    if report.failed and isinstance(found := getattr(item, "funcargs", {}).get("cluster"), Cluster):
        found.lab.keep_artifacts(item.nodeid.rpartition("/")[2])
    return report


@pytest.fixture(scope="module")
def cluster(corrals: Any, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The lab that `corral init` makes with the words of the file's `INIT`, as the file's class `Cluster` of it."""
    with corrals.get().lab("books") as lab:
        lab.environment["CORRAL_LABS"] = os.environ.get("CORRAL_LABS", PARTS)
        name, *words = request.module.INIT
        lab.corral("init", name, ".", *words, timeout=1800)
        found = request.module.Cluster(lab)
        try:
            found.up()
        except BaseException:
            lab.keep_artifacts(f"labs-{name}")
            raise
        yield found
