"""A service in Compose's normal form, one function a key: what `docker compose config` prints of it.

A function gives back None, an empty text, list or mapping, False or 0 where nothing is printed; `_KEPT` are printed
all the same, and `_STRUCTS` where they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from specs import node
from specs.canonical import folds
from specs.context import Context
from specs.errors import Path
from specs.node import Node
from specs.normal import build, parts
from specs.normal.manner import Manner

Json = dict[str, Any]
Make = Callable[[Node, Path, Context], Any]


def service(given: Node, path: Path, context: Context, manner: Manner) -> Json:
    """Problems are in the context's findings."""
    fields = dict(given.mapping())
    _environment(fields, path, context, manner)
    found: Json = {"command": None, "entrypoint": None}
    for key, child in fields.items():
        make = _MAKE.get(key, parts.as_written)
        if not manner.interpolate and _has_variable(child):
            make = parts.as_written
        value = make(child, (*path, key), context) if child.value is not None else None
        is_given = key in _STRUCTS and child.value is not None
        if key in _KEPT or is_given or value not in (None, "", [], {}, False, 0):
            found[key] = value
    for key in _NOT_PRINTED & found.keys():
        del found[key]
    if "scale" in found and isinstance(found.get("deploy"), dict):
        found["deploy"].setdefault("replicas", found["scale"])
    if manner.normalise:
        _normalise(found, says_mode="network_mode" in given.mapping())
    return {key: _sorted(value) if key in _SORTED else value for key, value in found.items()}


def _sorted(value: Any) -> Any:
    return dict(sorted(value.items())) if isinstance(value, dict) else value


_SORTED = frozenset({"annotations", "depends_on", "environment", "labels", "storage_opt", "sysctls", "ulimits"})


def _has_variable(given: Node) -> bool:
    if isinstance(given.value, str):
        return "$" in given.value
    return any(map(_has_variable, [*given.mapping().values(), *given.sequence()]))


def _environment(fields: dict[str, Node], path: Path, context: Context, manner: Manner) -> None:
    """Values for variables that have none, what the files say, and files of labels."""
    if not manner.resolve_environment or not manner.interpolate:
        return
    place = fields.get("environment") or fields.get("env_file")
    variables = folds.variables(fields, path, context)
    for key in ("environment", "env_file"):
        fields.pop(key, None)
    if variables and place is not None:
        fields["environment"] = place.with_value(variables)
    folds.labels(fields, path, context)


def _normalise(found: Json, *, says_mode: bool) -> None:
    """What one key says of others (compose-go loader/normalize.go)."""
    if not found.get("networks") and not says_mode and "provider" not in found:
        found["networks"] = {"default": None}
    needed: dict[str, Json] = {}
    for link in found.get("links", ()):
        needed.setdefault(link.partition(":")[0], _implied(restart=True))
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        kind, _, name = str(found.get(key, "")).partition(":")
        if kind == "service" and name:
            needed.setdefault(name, _implied(restart=True))
    for volume in found.get("volumes_from", ()):
        if not volume.startswith("container:"):
            needed.setdefault(volume.partition(":")[0], _implied(restart=False))
    if needed or found.get("depends_on"):
        found["depends_on"] = {**needed, **found.get("depends_on", {})}


def _implied(*, restart: bool) -> Json:
    return {"condition": "service_started", "required": True, **({"restart": True} if restart else {})}


# ------------------------------------------------------------------------------------------------------ one key each


def _depends_on(given: Node, path: Path, context: Context) -> Json:
    found: Json = {}
    for name, child in given.mapping().items():
        said = {key: node.plain(each) for key, each in child.mapping().items()}
        restart = {"restart": True} if said.pop("restart", False) is True else {}
        found[name] = {"condition": "service_started", "required": True, **said, **restart}
    return found


def _networks(given: Node, path: Path, context: Context) -> Json:
    found: Json = {}
    for name, child in given.mapping().items():
        said = {key: node.plain(each) for key, each in child.mapping().items() if each.value is not None}
        if "driver_opts" in said:
            said["driver_opts"] = parts.texts(child.mapping()["driver_opts"], path, context)
        shown = {key: value for key, value in said.items() if value not in ("", [], {}, 0)}
        found[name] = None if child.value is None else shown
    return found


def _only_ours(given: Node, path: Path, context: Context) -> Any:
    fields = node.plain(given)
    if isinstance(fields, dict) and isinstance(templates := fields.get("replica"), list) and len(templates) == 1:
        return {**fields, "replica": templates[0]}
    return fields


def _pull_policy(given: Node, path: Path, context: Context) -> Any:
    return "missing" if given.value == "if_not_present" else given.value


def _models(given: Node, path: Path, context: Context) -> Json:
    return {name: node.plain(child) for name, child in given.mapping().items()}


def _provider(given: Node, path: Path, context: Context) -> Json:
    found = parts.filled(given)
    options = given.get("options")
    if options is not None:
        found["options"] = {
            key: [parts.text(item) for item in (child.sequence() or [child])]
            for key, child in options.mapping().items()
            if child.value != []
        }
    return {key: value for key, value in found.items() if value != {}}


_STRUCTS = frozenset({"blkio_config", "credential_spec", "deploy", "develop", "healthcheck", "logging", "provider"})
_NOT_PRINTED = frozenset({"extends", "pull_refresh_after"})  # compose-go has no field for the second
_KEPT = frozenset({"attach", "command", "entrypoint", "init", "scale", "stop_grace_period"})
_MAKE: Mapping[str, Make] = {
    "blkio_config": parts.block_io,
    "build": build.build,
    "configs": parts.content_uses,
    "cpu_period": parts.whole,
    "cpu_quota": parts.whole,
    "cpu_shares": parts.whole,
    "pids_limit": parts.whole,
    "cpu_rt_period": parts.microseconds,
    "cpu_rt_runtime": parts.microseconds,
    "cpus": parts.number,
    "depends_on": _depends_on,
    "deploy": parts.deploy,
    "develop": build.develop,
    "extra_hosts": parts.extra_hosts,
    "gpus": parts.gpus,
    "group_add": parts.each_as_text,
    "healthcheck": parts.healthcheck,
    "logging": parts.logging,
    "mem_limit": parts.size,
    "mem_reservation": parts.size,
    "mem_swappiness": parts.size,
    "memswap_limit": parts.size,
    "models": _models,
    "networks": _networks,
    "ports": parts.ports,
    "post_start": parts.hooks,
    "pre_start": parts.hooks,
    "pre_stop": parts.hooks,
    "provider": _provider,
    "pull_policy": _pull_policy,
    "secrets": parts.secret_uses,
    "shm_size": parts.size,
    "stop_grace_period": parts.duration,
    "storage_opt": parts.texts,
    "sysctls": parts.texts,
    "ulimits": parts.ulimits,
    "volumes": parts.volumes,
    "x-corral": _only_ours,
}
