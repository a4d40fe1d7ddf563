"""Which tests say that they prove a key, and on which machines they run: read from the tests, without running any."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.guests import boot

TESTS = Path(__file__).parent.parent


@cache
def by_key() -> dict[str, tuple[str, ...]]:
    """Mapping from path to the test files that hold a test marked with it, as `e2e/test_keys.py`."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.key":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{file}: a key is a plain text"
                    found[argument.value].add(str(file.relative_to(TESTS)))
    return {path: tuple(sorted(files)) for path, files in found.items()}


def hosts(files: tuple[str, ...]) -> str:
    """Where these files are run: `here` is whatever machine runs `make test`."""
    guests = {"v2": boot.TESTS}
    return ", ".join(
        ["here", *(name for name, tests in guests.items() if any(f"tests/{file}" in tests for file in files))]
    )
