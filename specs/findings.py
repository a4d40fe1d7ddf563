"""What the steps of the pipeline find on their way: errors, and notes for the user."""

from __future__ import annotations

from specs.errors import Path, SpecError, SpecErrors, dotted
from specs.node import Node


class Findings:
    """Collects; nothing is raised while a later step can still find something, so that the user sees all at once."""

    def __init__(self) -> None:
        self.errors: list[SpecError] = []
        self.notes: list[str] = []
        self.earlier: list[Path] = []

    def next_step(self) -> None:
        """From now on errors are dropped that only follow from those so far: at the same place, above, or below."""
        self.earlier = [error.path for error in self.errors if error.path]

    def error(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        """An error at a node."""
        if not any(_is_on_one_branch(path, other) for other in self.earlier):
            self.errors.append(SpecError(path, message, *node.place, hint))

    def note(self, node: Node, path: Path, message: str) -> None:
        """Something that works, but not as it reads."""
        file, line, column = node.place
        text = f"{file}:{line}:{column}: {dotted(path)}: {message}"
        if text not in self.notes:
            self.notes.append(text)

    def add(self, others: Findings) -> None:
        """What another collection has, as if it had been found now."""
        self.errors += [error for error in others.errors if not self._follows(error.path)]
        self.notes += [note for note in others.notes if note not in self.notes]

    def _follows(self, path: Path) -> bool:
        return any(_is_on_one_branch(path, error.path) for error in self.errors if error.path)

    def raise_errors(self) -> None:
        """Raise SpecErrors if there are any, sorted by file and line."""
        if self.errors:
            raise SpecErrors(sorted(self.errors, key=lambda error: (error.file, error.line, error.column)))


def _is_on_one_branch(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
