"""What canonical forms depend on beside the document itself."""

import posixpath
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from specs.errors import Path
from specs.findings import Findings
from specs.node import Node


class Context(NamedTuple):
    """`directory` is absolute: relative paths begin there. `variables`: the shell's and those of the env files. `scale`: how many
    replicas the command line asks for, by service. `inactive`: services of inactive profiles, whose files nobody reads."""

    project_name: str
    directory: str
    variables: Mapping[str, str]
    findings: Findings
    any_image: bool = False
    scale: Mapping[str, int] = MappingProxyType({})
    inactive: frozenset[str] = frozenset()

    def absolute(self, path: str) -> str:
        """The path from the project's directory on, with ~ expanded."""
        if path == "~" or path.startswith("~/"):
            path = self.variables.get("HOME", "~") + path[1:]
        return posixpath.normpath(posixpath.join(self.directory, path))

    def image(self, node: Node, path: Path) -> Node:
        """The reference of an image, canonical."""
        reference = str(node.value)
        if reference.startswith("rootfs:"):
            return node.with_value("rootfs:" + self.absolute(reference.removeprefix("rootfs:")))
        if reference != "host" and not self.any_image:
            message = f"the image '{reference}' is not supported yet: images are host and rootfs:/a/directory"
            self.findings.error(node, path, message)
        return node
