"""The table of attacks is complete: every row is a test that exists, or says why there is nothing to attack."""

import ast
import pathlib

from tests.e2e.attacks import rows

TOP = pathlib.Path(__file__).parent.parent
FOLDERS = ("tests/e2e/attacks", "tests/engine/attacks")


def functions(path: str) -> set[str]:
    tree = ast.parse((TOP / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_names_a_test_or_a_reason_and_every_test_is_in_a_row() -> None:
    assert [row.number for row in rows.ROWS] == list(range(1, 51))
    for row in rows.ROWS:
        assert bool(row.tests) != bool(row.why), row
    named = {test for tests in (*(row.tests for row in rows.ROWS), *rows.OWN.values()) for test in tests}
    paths = {test.partition("::")[0] for test in named}
    there = {f"{path}::{name}" for path in paths for name in functions(path) if name.startswith("test_")}
    assert named <= there, named - there
    attacks = {test for test in there if test.startswith(FOLDERS)}
    assert {str(path.relative_to(TOP)) for folder in FOLDERS for path in (TOP / folder).glob("test_*.py")} <= paths
    assert attacks <= named, attacks - named
