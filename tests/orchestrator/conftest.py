"""A daemon of one's own for each test."""

import pathlib
import sys
from collections.abc import Iterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_lab import Lab

from orchestrator.command_line import launch


@pytest.fixture(autouse=True)
def no_real_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a test of this floor, it never starts a daemon with the real engine."""
    monkeypatch.setattr(launch, "argv_of", lambda places: ["/bin/false"])


@pytest.fixture
def lab(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    laboratory = Lab(tmp_path, monkeypatch)
    laboratory.start()
    yield laboratory
    if laboratory.lives:
        laboratory.kill()
