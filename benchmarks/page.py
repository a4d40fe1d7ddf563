"""docs/benchmarks.md: what `make bench` writes, and below it what `make bench-labs` writes. Each leaves the other's part as it is."""

import pathlib
import re

LABS = "\n## Labs\n"
LAB = re.compile(r"### ([a-z0-9-]+): \d+ nodes\n")


def write(document: pathlib.Path, text: str) -> None:
    """All but the labs."""
    _, _, labs = _parts(document)
    document.write_text(text.rstrip() + "\n" + (LABS + labs if labs else ""))


def write_labs(document: pathlib.Path, text: str) -> None:
    """What is below the heading of the labs."""
    others, _, _ = _parts(document)
    document.write_text(f"{others.rstrip()}\n{LABS}\n{text.strip()}\n")


def labs(document: pathlib.Path) -> dict[str, str]:
    """The sections of the labs that were measured, by lab."""
    _, _, text = _parts(document)
    sections = (part for part in re.split(r"^(?=### )", text, flags=re.MULTILINE))
    return {found[1]: part for part in sections if (found := LAB.match(part))}


def _parts(document: pathlib.Path) -> tuple[str, str, str]:
    return document.read_text().partition(LABS) if document.exists() else ("", "", "")
