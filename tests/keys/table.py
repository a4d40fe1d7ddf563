"""Writes the tables of keys in docs/specs.md (what each does) and docs/compose.md (what becomes of each): python -m tests.keys.table"""

from pathlib import Path

from tests.keys import effects, rows, tested, verdicts

DOCS = Path(__file__).parent.parent.parent / "docs"
BEGIN, END = "<!-- keys: made by `make docs` -->\n", "<!-- end of keys -->\n"
SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "")


def of_meanings() -> str:
    return _tables("| key | | an edit | tested in | on |\n|---|---|---|---|---|", _meaning)


def of_verdicts() -> str:
    return _tables("| key | | since | tested in |\n|---|---|---|---|", _verdict)


PAGES = {DOCS / "specs.md": of_meanings, DOCS / "compose.md": of_verdicts}


def _tables(head: str, line_of) -> str:  # type: ignore[no-untyped-def]
    parts = []
    for section in SECTIONS:
        mine = [row for row in rows.ROWS if section_of(row) == section]
        lines = [line_of(row, row.path.removeprefix(f"{section}.")) for row in mine]
        parts.append("\n".join([f"### {section or 'The document'}\n", head, *lines, ""]))
    return "\n".join(parts)


def section_of(row: rows.Row) -> str:
    """The table that its line is in: that of the document, but for what is below the keys that have tables of their own."""
    above, _, below = row.path.partition(".")
    return above if below and above in SECTIONS else ""


def _meaning(row: rows.Row, name: str) -> str:
    cells = (f"`{name}`", row.meaning, effects.of(row), _links(row), tested.hosts(row.path))
    return f"| {' | '.join(cells)} |".replace("  |", " |")


def _verdict(row: rows.Row, name: str) -> str:
    verdict = verdicts.of(row)
    said = verdict.word + (f": {verdict.why}" if verdict.why else "")
    return f"| `{name}` | {said.replace('|', chr(92) + '|')} | {row.since} | {_links(row)} |".replace("  |", " |")


def _links(row: rows.Row) -> str:
    files = tested.files(row.path)
    return " ".join(f"[{Path(file).stem.removeprefix('test_')}](../tests/{file})" for file in files)


def page(now: str, text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = now.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    for path, text_of in PAGES.items():
        path.write_text(page(path.read_text(), text_of()))
