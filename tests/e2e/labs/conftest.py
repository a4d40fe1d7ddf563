"""Labs brought up whole, as a user does it: `make test-labs`, and of all the smallest `make test-lab`. What they run on is fetched,
or was.

A cluster is brought up once for all tests of a file, in the order of the file: each leaves it usable.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.labs import cluster as clusters

HERE = pathlib.Path(__file__).parent


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """They take minutes: only who names this folder, or a file of it, gets them."""
    asked = [pathlib.Path(config.invocation_params.dir, word.partition("::")[0]).resolve() for word in config.args]
    return None if any(path.is_relative_to(HERE) for path in asked) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(600), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """A failure keeps what one wants to see of the cluster as it is then."""
    report = yield
    if report.failed and isinstance(found := getattr(item, "funcargs", {}).get("cluster"), clusters.Cluster):
        found.lab.keep_artifacts(item.nodeid.rpartition("/")[2])
    return report


@pytest.fixture(scope="module")
def cluster(corrals: Any, request: pytest.FixtureRequest) -> Iterator[clusters.Cluster]:
    """The lab that `corral init` makes with the words of the file's `INIT`, as the file's class `Cluster` of it."""
    with clusters.brought_up(corrals, request.module.INIT, request.module.Cluster) as found:
        yield found
