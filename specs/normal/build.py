"""`build` and `develop` in Compose's normal form: see `service`."""

from __future__ import annotations

from typing import Any

from specs import node, scalars
from specs.context import Context
from specs.errors import Path
from specs.node import Node
from specs.normal import parts

Json = dict[str, Any]


def build(given: Node, path: Path, context: Context) -> Json:
    found = parts.filled(given)
    if "context" not in given.mapping():
        found = {"context": ".", **found}
    if "dockerfile_inline" not in given.mapping() and "dockerfile" not in given.mapping():
        found["dockerfile"] = "Dockerfile"
    said = node.plain(given.get("args") or given.with_value(None))
    if isinstance(said, dict):
        known = {key: context.variables.get(key) if value is None else value for key, value in said.items()}
        found["args"] = {key: value for key, value in known.items() if value is not None}
    if (ssh := given.get("ssh")) is not None:
        found["ssh"] = [f"{key}={parts.text(child)}" if child.value else key for key, child in ssh.mapping().items()]
    if (hosts := given.get("extra_hosts")) is not None:
        found["extra_hosts"] = parts.extra_hosts(hosts, path, context)
    if (secrets := given.get("secrets")) is not None:
        found["secrets"] = parts.content_uses(secrets, (*path, "secrets"), context)
    if (limits := given.get("ulimits")) is not None:
        found["ulimits"] = parts.ulimits(limits, path, context)
    parts.put(found, given, path, context, make=parts.size, keys="shm_size")
    for key in ("provenance", "sbom"):
        if key in found:
            found[key] = scalars.as_text(found[key])
    return {key: value for key, value in found.items() if not parts.is_empty(value)}


def develop(given: Node, path: Path, context: Context) -> Json:
    found = parts.filled(given)
    if (watch := given.get("watch")) is not None and watch.sequence():
        found["watch"] = [_rule(item) for item in watch.sequence()]
    return found


def _rule(item: Node) -> Json:
    found = parts.filled(item)
    hook = item.get("exec")
    found["exec"] = parts.hook(hook) if hook is not None else {"command": None}
    return found
