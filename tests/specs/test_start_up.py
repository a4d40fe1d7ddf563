"""The command line loads the loader at every start: nothing slow may come with it, and reading is quick. Times are of the CPU:
what else the machine does counts for little."""

import json
import pathlib
import resource
import subprocess
import sys
import time
from typing import Any

import pytest

from tests import slowness


@pytest.mark.parametrize("slow", ["pydantic", "networkx", "dataclasses", "ipaddress", "asyncio", "specs.model.service"])
def test_the_loader_brings_nothing_slow(slow: str) -> None:
    listing = "import sys; before = set(sys.modules); import specs.loader; print(*set(sys.modules) - before)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert "specs.loader" in modules
    assert slow not in modules


def test_what_yaml_compiles_late_works_as_ever() -> None:
    """Without libyaml its own reader, resolver and constructor are used, and need their expressions."""
    lines = """
import re, specs.loader, yaml
assert type(yaml.reader.Reader.NON_PRINTABLE) is not re.Pattern and type(re.compile("a")) is re.Pattern
assert yaml.load("{a: 2001-12-14, b: 1.5, c: 0x10}", yaml.SafeLoader)["c"] == 16
assert yaml.dump({"a": "1.5"}) == "a: '1.5'" + chr(10)
try:
    yaml.load("a: " + chr(1), yaml.SafeLoader)
except yaml.reader.ReaderError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def project_of(count: int) -> str:
    """Each service with what most services have."""
    service = {
        "image": "host",
        "command": "sleep 1000",
        "environment": {"A": "1", "B": "${B:-two}"},
        "volumes": ["data:/data", "./conf:/conf:ro"],
        "depends_on": ["base"],
        "healthcheck": {"test": ["CMD", "true"], "interval": "10s"},
        "labels": ["a=b"],
        "deploy": {"resources": {"limits": {"memory": "64m"}}},
    }
    services = {f"s{number}": {**service, "ports": [f"{10_000 + number}:80"]} for number in range(count - 1)}
    return json.dumps({"services": {"base": {"image": "host"}, **services}, "volumes": {"data": None}}, indent=1)


@pytest.mark.parametrize(("count", "seconds"), [(5, 0.05), (300, 0.5)])
def test_reading_is_quick(folder: Any, count: int, seconds: float) -> None:
    folder.load(project_of(1))
    folder.write({"compose.yaml": project_of(count)})
    for read in (folder.load, folder.normal, lambda: folder.project("")):
        before = time.process_time()
        read()
        assert time.process_time() - before < seconds * slowness.FACTOR


def test_help_comes_at_once() -> None:
    command = [sys.executable, "-m", "orchestrator", "--help"]
    top = pathlib.Path(__file__).parents[2]
    taken = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=top, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.06 * slowness.FACTOR
