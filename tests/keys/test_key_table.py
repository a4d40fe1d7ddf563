"""The table of keys in docs/specs.md is complete and says what the code does."""

from tests.keys import paths, rows, table, tested, verdicts


def test_every_key_has_a_row_or_is_part_of_the_row_above_it() -> None:
    assert not [path for path in paths.known() if path not in rows.BY_PATH and not _is_part(path)]


def _is_part(path: str) -> bool:
    """Of the row one level above, or of one that stands for all that is below it."""
    parts = path.split(".")
    above = [".".join(parts[:count]) for count in range(len(parts) - 1, 1, -1)]
    if not above:
        return rows.BY_PATH[parts[0]].is_kept
    return above[0] in rows.BY_PATH or any(rows.is_whole(path) for path in above)


def test_what_is_refused_is_refused_with_the_reason_and_what_is_noted_is_noted() -> None:
    for row in rows.ROWS:
        verdict = verdicts.of(row)
        assert not row.refused or verdicts.refusal_of(row)
        assert verdict.why or verdict.word in (verdicts.HONOURED, verdicts.KEPT)
        assert row.meaning.startswith("refused") == (verdict.word == verdicts.REFUSED), row.path
        assert ("noted" in row.meaning) >= (verdict.word == verdicts.NOTED), row.path
        assert row.meaning.startswith("kept") == row.is_kept, row.path


def test_no_row_is_about_a_key_that_there_is_not() -> None:
    assert not rows.BY_PATH.keys() - set(paths.known())
    assert len(rows.BY_PATH) == len(rows.ROWS)


def test_every_row_is_proven_by_a_test() -> None:
    assert not [row.path for row in rows.ROWS if row.path not in tested.proofs()]


def test_no_test_claims_a_key_that_there_is_not() -> None:
    assert not tested.proofs().keys() - set(paths.known())


def test_every_row_stands_on_each_page_in_its_section_once() -> None:
    for page in table.PAGES:
        lines = page.read_text().partition(table.BEGIN)[2].partition(table.END)[0].splitlines()
        found, section = [], ""
        for line in lines:
            if line.startswith("### "):
                section = line.removeprefix("### ").replace("The document", "")
            elif line.startswith("| `"):
                found.append(f"{section}.{line.split('`')[1]}".lstrip("."))
        assert sorted(found) == sorted(rows.BY_PATH), page.name


def test_the_pages_are_up_to_date() -> None:
    for page, text in table.PAGES.items():
        now = page.read_text()
        assert table.page(now, text()) == now, f"{page.name} is not: make docs"
