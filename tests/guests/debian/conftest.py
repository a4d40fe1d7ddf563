"""Tests of this machine on a Debian guest of theirs: `make test-guests`. Each file has a guest of its own, switched on; what it said is
kept below artifacts/guests/."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests.debian import image
from tests.guests.debian.guest import Guest

TOP = Path(__file__).resolve().parents[3]
collect_ignore_glob = [] if os.environ.get("CORRAL_GUESTS") else ["*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.root)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="module")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A machine with systemd, nothing but the v2 tree, and no network; on."""
    cache = Path(os.environ.get("CORRAL_GUEST_CACHE") or Path.home() / ".cache/corral/guests")
    directory = TOP / "artifacts/guests" / request.path.stem
    shutil.rmtree(directory, ignore_errors=True)
    with Guest(image.directory(cache), directory) as found:
        found.boot()
        found.sh("systemctl is-system-running --wait")
        yield found
