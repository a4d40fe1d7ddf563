"""Writes the table of keys in docs/specs.md: python -m tests.keys.table"""

from pathlib import Path

from tests.keys import effects, paths, rows, tested

PAGE = Path(__file__).parent.parent.parent / "docs" / "specs.md"
BEGIN, END = "<!-- keys: made by `make docs` -->\n", "<!-- end of keys -->\n"
SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "")


def text() -> str:
    parts = [_section(section) for section in SECTIONS]
    refused = ", ".join(f"`{path}`" for path in paths.later())
    return "\n".join([*parts, f"Refused by their names, for now: {refused}.\n"])


def _section(section: str) -> str:
    prefix = f"{section}." if section else ""
    mine = [row for row in rows.ROWS if (row.path.startswith(prefix) if prefix else "." not in row.path)]
    lines = [f"### {section or 'The document'}\n", "| key | | an edit | tested in | on |", "|---|---|---|---|---|"]
    lines += [_line(row, row.path.removeprefix(prefix)) for row in mine]
    return "\n".join([*lines, ""])


def _line(row: rows.Row, name: str) -> str:
    files = tested.files(row.path)
    links = " ".join(f"[{Path(file).stem.removeprefix('test_')}](../tests/{file})" for file in files)
    return f"| `{name}` | {row.meaning} | {effects.of(row)} | {links} | {tested.hosts(row.path)} |".replace("  |", " |")


def page(now: str) -> str:
    """The page with its table made anew."""
    before, _, rest = now.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
