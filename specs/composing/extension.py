"""`extends`: a service laid over another one, of the same file or of another, which may extend a third.

What the other says is what its file says, before anything is merged over it (compose-go loader/extends.go). Its own networks,
volumes, configs and secrets do not come along.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from specs.composing import merge
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, text_of

ServicesOf = Callable[[str, Node, Path], "Node | None"]
DEEPEST = 100
"""Services that extend each other in a row."""
_REMOTE = ("oci://", "https://", "http://", "git@", "ssh://", "git://", "github.com/")


def extended(
    document: Node,
    services_of: ServicesOf,
    directory: str,
    dropped: Sequence[Path],
    file: str,
    findings: Findings,
    under: list[tuple[str, Node]],
) -> Node:
    """The document with every service laid over what it extends. `directory`: where the names of other files begin. `dropped`:
    the paths that its `!reset` and `!override` drop from what its services extend. `under` gets what they were laid over, the
    lowest first, with the words for it. Raises SpecErrors where services extend each other too deep to go on."""
    services = document.get("services")
    if services is None or not any(_says(service) for service in services.mapping().values()):
        return document
    walk = _Walk(services_of, findings, under)
    found = {}
    for name in services.mapping():
        found[name] = walk.service(name, services, file, directory, ("services", name), (), dropped)
    return document.with_value({**document.mapping(), "services": services.with_value(found)})


def is_remote(file: str) -> bool:
    return file.startswith(_REMOTE)


def _of(whole: Node) -> Node:
    """The one service of a document that was noted."""
    [service] = whole.mapping()["services"].mapping().values()
    return service


def _says(service: Node) -> bool:
    return service.get("extends") is not None


class _Walk:
    def __init__(self, services_of: ServicesOf, findings: Findings, under: list[tuple[str, Node]]) -> None:
        self.services_of = services_of
        self.under = under
        self.findings = findings
        self.circles: list[set[tuple[str, str]]] = []
        self.done: dict[tuple[str, str], tuple[Node, list[tuple[str, Node]]]] = {}

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
            self.note(service, name, path, trail)
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
        if len(trail) >= DEEPEST:
            self.findings.error(said, where, f"services extend each other more than {DEEPEST} deep")
            self.findings.raise_errors()
        base = self.extended(base_name, base_services, base_file, base_directory, path, (*trail, (file, name)))
        self.note(own, name, path, trail)
        if base.value is None:
            return own
        mine = [("services", name, *each[2:]) for each in dropped if each[:2] == ("services", name)]
        return merge.service(base, own, name, mine)

    def extended(
        self, name: str, services: Node, file: str, directory: str, path: Path, trail: tuple[tuple[str, str], ...]
    ) -> Node:
        """A service as another one sees it; worked out once, however many extend it."""
        if (file, name) in self.done:
            found, below = self.done[file, name]
            for index, (words, service) in enumerate(below):
                is_last = index == len(below) - 1  # who extends it is another one now
                self.note_as(f"{trail[-1][1]} extends {name}" if is_last else words, service, path)
            return found
        errors, noted = len(self.findings.errors), len(self.under)
        found = self.service(name, services, file, directory, path, trail)
        if len(self.findings.errors) == errors:
            self.done[file, name] = found, [(words, _of(whole)) for words, whole in self.under[noted:]]
        return found

    def note(self, service: Node, name: str, path: Path, trail: tuple[tuple[str, str], ...]) -> None:
        """The service as it is below another one that extends it."""
        if trail:
            self.note_as(f"{trail[-1][1]} extends {name}", service, path)

    def note_as(self, words: str, service: Node, path: Path) -> None:
        top = str(path[-1])
        self.under.append((words, service.with_value({"services": service.with_value({top: service})})))

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
