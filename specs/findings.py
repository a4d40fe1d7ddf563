"""What the steps of the pipeline find on their way: errors, and notes for the user."""

from __future__ import annotations

from specs.errors import Path, SpecError, SpecErrors, dotted
from specs.node import Node, Place

MOST = 1000
"""Errors, and notes: of more nobody reads the rest."""
HINTS_MOST = 100


class Findings:
    """Collects; nothing is raised while a later step can still find something, so that the user sees all at once. `ports`: how
    many there are so far."""

    def __init__(self) -> None:
        self.ports = 0
        self.errors: list[SpecError] = []
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self._earlier: set[Path] = set()
        self._above_earlier: set[Path] = set()

    def next_step(self) -> None:
        """From now on errors are dropped that only follow from those so far: at the same place, above, or below."""
        self._earlier = {error.path for error in self.errors if error.path}
        self._above_earlier = {path[:count] for path in self._earlier for count in range(len(path))}

    @property
    def wants_hints(self) -> bool:
        """Whether there is still time for looking what was meant."""
        return len(self.errors) < HINTS_MOST

    def error(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        """An error at a node."""
        self.error_at(node.place, path, message, hint)

    def error_at(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        if len(self.errors) < MOST and not self._follows(path):
            self.errors.append(SpecError(path, message, *place, hint))

    def _follows(self, path: Path) -> bool:
        return path in self._above_earlier or any(path[:count] in self._earlier for count in range(len(path) + 1))

    def note(self, node: Node, path: Path, message: str) -> None:
        """Something that works, but not as it reads."""
        file, line, column = node.place
        text = f"{file}:{line}:{column}: {dotted(path)}: {message}"
        if text not in self._noted and len(self.notes) < MOST:
            self._noted.add(text)
            self.notes.append(text)

    def add(self, others: Findings) -> None:
        """What another collection has, as if it had been found now, without what follows from what was found before."""
        before = Findings()
        before.errors = self.errors
        before.next_step()
        self.errors += [error for error in others.errors if not before._follows(error.path)]
        self.notes += [note for note in others.notes if note not in self._noted]
        self._noted |= set(others.notes)

    def raise_errors(self) -> None:
        """Raise SpecErrors if there are any, sorted by file and line."""
        if self.errors:
            raise SpecErrors(sorted(self.errors, key=lambda error: (error.file, error.line, error.column)))
