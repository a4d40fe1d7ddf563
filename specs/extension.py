"""`extends`: a service laid over another one, of the same file or of another, which may extend a third.

What the other says is what its file says, before anything is merged over it (compose-go loader/extends.go). Its own networks,
volumes, configs and secrets do not come along.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from specs import merge
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, text_of

ServicesOf = Callable[[str, Node, Path], "Node | None"]
_REMOTE = ("oci://", "https://", "http://", "git@", "ssh://", "git://", "github.com/")


def extended(
    document: Node, services_of: ServicesOf, directory: str, dropped: Sequence[Path], file: str, findings: Findings
) -> Node:
    """The document with every service laid over what it extends. `directory`: where the names of other files begin. `dropped`:
    the paths that its `!reset` and `!override` drop from what its services extend."""
    services = document.get("services")
    if services is None or not any(_says(service) for service in services.mapping().values()):
        return document
    walk = _Walk(services_of, findings)
    found = {}
    for name in services.mapping():
        found[name] = walk.service(name, services, file, directory, ("services", name), (), dropped)
    return document.with_value({**document.mapping(), "services": services.with_value(found)})


def is_remote(file: str) -> bool:
    return file.startswith(_REMOTE)


def _says(service: Node) -> bool:
    return service.get("extends") is not None


class _Walk:
    def __init__(self, services_of: ServicesOf, findings: Findings) -> None:
        self.services_of = services_of
        self.findings = findings
        self.circles: list[set[tuple[str, str]]] = []

    def service(
        self,
        name: str,
        services: Node,
        file: str,
        directory: str,
        path: Path,
        trail: tuple[tuple[str, str], ...],
        dropped: Sequence[Path] = (),
    ) -> Node:
        service = services.mapping()[name]
        said = service.get("extends")
        if said is None:
            return service
        where = (*path, "extends")
        own = service.with_value({key: child for key, child in service.mapping().items() if key != "extends"})
        if (file, name) in trail:
            circle = trail[trail.index((file, name)) :]
            if set(circle) not in self.circles:
                shown = " → ".join(each for _, each in (*circle, (file, name)))
                self.findings.error(said, where, f"a cycle: {shown}")
            self.circles.append(set(circle))
            return own
        found = self.base(said, services, file, directory, where)
        if found is None:
            return own
        base_name, base_services, base_file, base_directory = found
        trail = (*trail, (file, name))
        base = self.service(base_name, base_services, base_file, base_directory, path, trail)
        if base.value is None:
            return own
        mine = [("services", name, *each[2:]) for each in dropped if each[:2] == ("services", name)]
        return merge.service(base, own, name, mine)

    def base(
        self, said: Node, services: Node, file: str, directory: str, path: Path
    ) -> tuple[str, Node, str, str] | None:
        """The name of the other service, the services that it is among, their file, and where names begin there."""
        name = str(said.value) if isinstance(said.value, str) else text_of(said, "service")
        other = "" if isinstance(said.value, str) else text_of(said, "file")
        if not name:
            self.findings.error(said, path, "service is missing")
            return None
        if other and is_remote(other):
            self.findings.error(said, (*path, "file"), f"'{other}' is not fetched: files of this machine only")
            return None
        if other:
            file = posixpath.normpath(posixpath.join(directory, other))
            found = self.services_of(file, said, path)
            if found is None:
                if not self.findings.errors:
                    self.findings.error(said, path, f"{other} has no services")
                return None
            services, directory = found, posixpath.dirname(file)
        if name not in services.mapping():
            known = ", ".join(sorted(services.mapping())) or "none"
            self.findings.error(
                said, path, f"there is no service {name}" + (f" in {other}" if other else ""), f"there are {known}"
            )
            return None
        return name, services, file, directory
