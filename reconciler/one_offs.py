"""One-offs: containers that `run` adds to a project, each a service of its own beside those of the files.

It is made of what the files said of a service when it was asked for, with what the command said over it. It is kept with the
project, is no replica of that service, is not found under its names unless that was asked for, and runs once: whatever ends it,
nothing but its removal comes after that. So it does not stop with what it depends on, either.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from engine.types.infos import ContainerInfo, State
from specs.canonical import namespaces

Json = Mapping[str, Any]

NOT_ITS_OWN = ("scale", "replicas", "hostname", "domainname", "mac_address", "pre_start", "x-corral", "profiles")
"""Keys of a service that a one-off does not have: what only one can have, and what is done once for all of the service."""

SECTIONS = ("networks", "volumes", "configs", "secrets")
LISTS = ("links", "volumes_from")
ADDRESSES = ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address")


@dataclass(frozen=True, slots=True)
class OneOff:
    """`service`: of which; `body`: canonical; `uses`: what that uses of networks, volumes, configs and secrets, by section.
    `may_start`: until then it is made, and waits. `brief`: it goes when it has ended;
    `heard`: somebody reads what it writes, and is given time for the last of it."""

    service: str
    body: Json
    uses: Json
    may_start: bool = False
    brief: bool = False
    heard: bool = False

    def started(self) -> "OneOff":
        return replace(self, may_start=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "body": dict(self.body),
            "uses": dict(self.uses),
            "may_start": self.may_start,
            "brief": self.brief,
            "heard": self.heard,
        }

    @classmethod
    def from_json(cls, value: Json) -> "OneOff":
        body, uses = dict(value["body"]), dict(value["uses"])
        return cls(value["service"], body, uses, value["may_start"], value["brief"], value["heard"])


def ended(containers: Iterable[ContainerInfo]) -> frozenset[str]:
    """The names of those that have had their run."""
    over = (info for info in containers if info.config.run_of and info.started_at and info.state is not State.RUNNING)
    return frozenset(info.config.service for info in over)


def beside(canonical: Json, runs: Mapping[str, OneOff]) -> Json:
    """The document with the one-offs in it, whatever has left it since they were asked for. One that lives in a namespace of what
    is no longer there is left out."""
    services = dict(canonical.get("services", {}))
    sections = {key: dict(canonical.get(key, {})) for key in SECTIONS}
    for name, run in runs.items():
        if homes_of(run.body) <= services.keys():
            for section, used in run.uses.items():
                sections[section] = {**used, **sections[section]}
            services[name] = _without_missing(run.body, services.keys())
    return {**canonical, **sections, "services": services}


def homes_of(body: Json) -> set[str]:
    """The services in whose namespaces it lives."""
    return {namespaces.service_of(body.get(key)) for key in namespaces.KEYS} - {""}


def _without_missing(body: Json, there: Set[str]) -> Json:
    """Not waiting for what is not there."""
    kept = {key: [each for each in body[key] if each.partition(":")[0] in there] for key in LISTS if key in body}
    return {
        **body,
        **kept,
        "depends_on": {name: how for name, how in body.get("depends_on", {}).items() if name in there},
    }


def uses_of(canonical: Json, body: Json) -> dict[str, Any]:
    """What the body of a service uses of the other sections."""
    used = {
        "networks": set(body.get("networks", {})),
        "volumes": {mount.get("source") for mount in body.get("volumes", ()) if mount.get("type") == "volume"},
        "configs": {use["source"] for use in body.get("configs", ())},
        "secrets": {use["source"] for use in body.get("secrets", ())},
    }
    return {key: {k: v for k, v in canonical.get(key, {}).items() if k in names} for key, names in used.items()}


def body_of(
    canonical: Json, service_name: str, container_name: str, *, no_deps: bool = False, use_aliases: bool = False
) -> dict[str, Any]:
    """What a one-off of this service is. `no_deps`: it waits for nobody; `use_aliases`: it is found as the service is."""
    service = canonical["services"][service_name]
    said = {**service, **service.get("replicas", {}).get("1", {})}
    dropped = {key for key in NOT_ITS_OWN if not (use_aliases and key in ("hostname", "domainname"))}
    body = {key: value for key, value in said.items() if key not in dropped}
    body |= {"container_name": container_name, "restart": "no"}
    if "networks" in body:
        body["networks"] = {
            key: _joined(joined or {}, service_name if use_aliases else "") for key, joined in body["networks"].items()
        }
    needed = {name: {**how, "restart": False} for name, how in said.get("depends_on", {}).items()}
    body["depends_on"] = {name: how for name, how in needed.items() if not no_deps or name in homes_of(body)}
    if no_deps:
        body["links"] = []
    return body


def _joined(joined: Json, alias: str) -> dict[str, Any]:
    """How it is in a network: at an address of its own."""
    kept = {key: value for key, value in joined.items() if key not in (*ADDRESSES, "aliases")}
    return {**kept, "aliases": [*joined.get("aliases", ()), alias]} if alias else kept
