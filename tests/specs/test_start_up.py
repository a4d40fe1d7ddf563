"""The command line loads the loader at every start: nothing slow may come with it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("slow", ["pydantic", "networkx", "dataclasses", "ipaddress", "asyncio", "specs.service"])
def test_the_loader_brings_nothing_slow(slow: str) -> None:
    listing = "import sys; before = set(sys.modules); import specs.loader; print(*set(sys.modules) - before)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert "specs.loader" in modules
    assert slow not in modules
