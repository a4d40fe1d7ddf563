"""What canonical forms depend on beside the document itself."""

import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from specs.findings import Findings


class Context(NamedTuple):
    """`directory` is absolute: relative paths begin there. `variables`: the shell's and those of the env files."""

    project_name: str
    directory: str
    variables: Mapping[str, str]
    findings: Findings
    any_image: bool = False

    def absolute(self, path: str) -> str:
        """The path from the project's directory on, with ~ expanded."""
        if path == "~" or path.startswith("~/"):
            path = self.variables.get("HOME", "~") + path[1:]
        return posixpath.normpath(posixpath.join(self.directory, path))
