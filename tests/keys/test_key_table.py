"""The table of keys in docs/specs.md is complete and says what the code does."""

from tests.keys import paths, rows, table, tested


def test_every_key_has_a_row_or_is_part_of_the_row_above_it() -> None:
    missing = [path for path in paths.known() if path not in rows.BY_PATH and _above(path) not in rows.BY_PATH]
    assert not missing


def _above(path: str) -> str:
    above = path.rpartition(".")[0]
    return above if "." in above else ""


def test_no_row_is_about_a_key_that_there_is_not() -> None:
    assert not rows.BY_PATH.keys() - set(paths.known())
    assert len(rows.BY_PATH) == len(rows.ROWS)


def test_every_row_is_proven_by_a_test() -> None:
    assert not [row.path for row in rows.ROWS if row.path not in tested.proofs()]


def test_no_test_claims_a_key_that_there_is_not() -> None:
    assert not tested.proofs().keys() - set(paths.known())


def test_the_page_is_up_to_date() -> None:
    now = table.PAGE.read_text()
    assert table.page(now) == now, "docs/specs.md is not: make docs"
