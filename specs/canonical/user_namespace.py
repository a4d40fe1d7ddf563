"""`userns_mode` of a service, and what `x-corral: {userns: …}` says for services that say nothing: canonical forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specs.canonical import security_options
from specs.context import Context
from specs.errors import Path
from specs.model import bodies
from specs.node import Node

HOST, AUTO = "host", "auto"  # as Podman calls them: the machine's user namespace, or one of its own


def mode(node: Node, path: Path, context: Context) -> Node | None:
    """ "" is as if it were left out."""
    text = str(node.value)
    if text not in ("", HOST, AUTO):
        message = f"'{text}' is not supported: {AUTO} (a user namespace of its own) or {HOST} (none)"
        context.findings.error(node, path, message)
    return node if text else None


def default(document: Node, context: Context) -> Node | None:
    """What `x-corral` says for services that say nothing."""
    said = document.get("x-corral", "userns")
    return mode(said, ("x-corral", "userns"), context) if said is not None and said.value is not None else None


def fold(fields: dict[str, Node], said: Node | None) -> None:
    """Give a service that says nothing what is said for such; the strict profile says it all."""
    options = fields["security_opt"].sequence() if "security_opt" in fields else []
    if said is not None and not any(security_options.is_strict(str(option.value)) for option in options):
        fields.setdefault("userns_mode", said)


def filled_in(canonical: Mapping[str, Any], userns: str) -> dict[str, Any]:
    """The canonical document, where every service that says nothing says this."""
    services = canonical.get("services")
    if userns == HOST or not isinstance(services, dict):
        return dict(canonical)

    def said(service: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"userns_mode": userns, **service}

    filled = {
        name: bodies.changed(service, said) if isinstance(service, dict) else service
        for name, service in services.items()
    }
    return {**canonical, "services": filled}
