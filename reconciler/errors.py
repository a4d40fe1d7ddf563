"""What can be wrong with what is wanted, known before anything is touched.

DeclareError             everything below
├── Conflict             what only one can have is asked for twice, or had by somebody else
└── Ring                 what is wanted waits for itself

Messages are lowercase; `path` is where in the user's document, as far as that is known.
"""


class DeclareError(Exception):
    """What is wanted cannot be planned. `path`: the place in the document, like ("networks", "lab", "ipam")."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), hint: str = "") -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {message}" if path else message)
        self.message = message
        self.path = path
        self.hint = hint


class Conflict(DeclareError):
    """What only one can have is asked for twice, or somebody else has it."""


class Ring(DeclareError):
    """Resources wait for each other in a ring."""
