"""Which tests say that they prove a key, and on which machines they run: read from the tests, without running any."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.guests import boot
from tests.guests.debian import floors

TESTS = Path(__file__).parent.parent
MARK = "pytest.mark.key"
HERE, UML, DEBIAN = "hybrid", "UML", "Debian 12"
"""As docs/specs.md explains them."""

Proof = tuple[str, str]
"""A file, as `e2e/test_keys.py`, and the name of a test in it."""


@cache
def proofs() -> dict[str, frozenset[Proof]]:
    """Mapping from path to the tests that are marked with it."""
    found: dict[str, set[Proof]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for test, key in _marks(ast.parse(file.read_text()), file):
            found.setdefault(key, set()).add((str(file.relative_to(TESTS)), test))
    return {path: frozenset(tests) for path, tests in found.items()}


def _marks(tree: ast.Module, file: Path) -> Iterator[tuple[str, str]]:
    """(test, key) pairs: a mark of the module's is one of all its tests."""
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [node for node in tests if node.name.startswith("test_")]
    everywhere = [key for node in tree.body if isinstance(node, ast.Assign) for key in _keys(node, file)]
    for test in tests:
        keys = [*everywhere, *(key for decorator in test.decorator_list for key in _keys(decorator, file))]
        yield from ((test.name, key) for key in keys)


def _keys(tree: ast.AST, file: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == MARK:
            for argument in node.args:
                assert isinstance(argument, ast.Constant), f"{file}: a key is a plain text"
                yield argument.value


def files(path: str) -> tuple[str, ...]:
    """Those that hold a test of the key, sorted."""
    return tuple(sorted({file for file, _ in proofs().get(path, ())}))


def hosts(path: str) -> str:
    """The kinds of machine on which a test of the key runs, and is not skipped."""
    found = {host for proof in proofs().get(path, ()) for host in _hosts_of(*proof)}
    return ", ".join(host for host in (HERE, UML, DEBIAN) if host in found)


def _hosts_of(file: str, test: str) -> Iterator[str]:
    name = f"tests/{file}"
    if not file.startswith("guests/"):
        yield HERE
    if name in boot.TESTS:
        yield UML
    if file.startswith("guests/debian/"):
        yield DEBIAN
    if name in floors.FILES and f"{name}::{test}" in floors.tests_of(name) and f"{name}::{test}" not in floors.SKIPPED:
        yield DEBIAN
