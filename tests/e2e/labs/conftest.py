"""Labs brought up whole, as a user does it: `make test-labs`. What they run on is fetched, or was.

A cluster is brought up once for all tests of a file, in the order of the file: each leaves it usable.
"""

import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.lab import TOP
from tests.e2e.labs.cluster import Cluster

HERE = pathlib.Path(__file__).parent
LABS = TOP / "examples/bigdata-cluster"
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


def fetch(name: str, parts: str) -> None:
    """What the lab runs on, by the real machine: from the machine of the tests no way leads outside."""
    subprocess.run([LABS / name / "prepare"], env=os.environ | {"CORRAL_LABS": parts}, check=True)


@pytest.fixture(scope="module")
def cluster(corrals: Any, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The lab that `corral init` makes with the words of the file's `INIT`, as the file's class `Cluster` of it."""
    name, *words = request.module.INIT
    parts = os.environ.get("CORRAL_LABS", PARTS)
    fetch(name, parts)
    with corrals.get().lab("books") as lab:
        lab.environment["CORRAL_LABS"] = parts
        lab.corral("init", name, ".", *words, timeout=1800)
        found = request.module.Cluster(lab)
        try:
            found.up()
        except BaseException:
            lab.keep_artifacts(f"labs-{name}")
            raise
        yield found
