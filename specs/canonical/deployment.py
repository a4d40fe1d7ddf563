"""What `deploy` says besides limits and replicas: the restart policy, whole, and what memory is reserved. The rest is for
clusters, and noted."""

from __future__ import annotations

from specs.canonical import elsewhere, quantities
from specs.context import Context
from specs.errors import Path
from specs.node import Node

CLUSTER = ("endpoint_mode", "labels", "mode", "placement", "rollback_config", "update_config")
RESTARTS = {  # docker/compose pkg/compose/create.go, mapRestartPolicyCondition
    "none": "no",
    "no": "no",
    "any": "always",
    "always": "always",
    "on-failure": "on-failure",
    "unless-stopped": "unless-stopped",
}


def fold(fields: dict[str, Node], path: Path, context: Context) -> None:
    """Into `restart` and `mem_reservation`; `deploy` itself stays."""
    deploy = fields.get("deploy")
    if deploy is None or deploy.value is None:
        return
    where = (*path, "deploy")
    for key in CLUSTER:
        child = deploy.get(key)
        if child is not None and child.value not in (None, "replicated"):
            context.findings.note(child, (*where, key), "is for clusters and means nothing here, as for docker compose")
    _restart(fields, deploy.get("restart_policy"), (*where, "restart_policy"), context)
    _reservations(fields, deploy.get("resources", "reservations"), path, context)


def _restart(fields: dict[str, Node], policy: Node | None, path: Path, context: Context) -> None:
    """Into `restart`, and into `restart_policy` what that has no word for."""
    if policy is None or policy.value is None:
        return
    condition = policy.get("condition")
    said = str(condition.value) if condition is not None else "any"
    if said not in RESTARTS:
        context.findings.error(condition or policy, (*path, "condition"), f"'{said}' is not none, on-failure or any")
        return
    fields["restart"] = (condition or policy).with_value(RESTARTS[said])
    more: dict[str, Node] = {}
    for key in ("delay", "window"):
        if (child := policy.get(key)) is not None and (found := quantities.duration(child, (*path, key), context)):
            more |= {key: found} if found.value else {}
    if (attempts := policy.get("max_attempts")) is not None and attempts.value:
        more["max_attempts"] = attempts
    if more and RESTARTS[said] != "no":
        fields["restart_policy"] = policy.with_value(more)


def _reservations(fields: dict[str, Node], given: Node | None, path: Path, context: Context) -> None:
    where = (*path, "deploy", "resources", "reservations")
    if given is None or given.value is None:
        return
    for key in ("cpus", "generic_resources"):
        if (child := given.get(key)) is not None:
            context.findings.note(child, (*where, key), "is for clusters and means nothing here, as for docker compose")
    if (devices := given.get("devices")) is not None:
        elsewhere.refuse_devices(devices, (*where, "devices"), context)
    if (memory := given.get("memory")) is None:
        return
    found, own = quantities.size(memory, (*where, "memory"), context), fields.get("mem_reservation")
    if own is None and found is not None:
        fields["mem_reservation"] = found
    elif own is not None and (found is None or found.value != own.value):
        shown = "not set" if found is None else found.value
        message = f"mem_reservation is {own.value}, but deploy.resources.reservations.memory is {shown}"
        context.findings.error(own, (*path, "mem_reservation"), message, "give it in one of the two places")
