"""Random projects, and random edits of them, as canonical mappings. What validation would refuse is never made."""

import random
from typing import Any

Mapped = dict[str, Any]
EACH = {"name": "p_each", "x-corral": {"each": "replica"}}
OURS = ("oneshot", "differ", "leave", "on_change")
"""Words that a document has not."""

OTHERS = {"theirs": "10.60.0.0/24", "theirs_too": "10.61.0.0/24"}
"""Networks of another project, and their subnets."""

CONTENTS = ("b25l", "dHdv")
CHECK = {"test": ["CMD", "true"], "interval": 1.0}


def changed(rnd: random.Random, old: Mapped | None = None, *, keeps_subnets: bool = False) -> Mapped:
    """A new project, or an edit of `old`: values, swaps, a renamed service, another order."""
    services: dict[str, Mapped] = {}
    names = [f"s{number:02d}" for number in range(rnd.randint(2, 8))]
    order = rnd.sample(names, len(names)) if rnd.random() < 0.3 else names
    for position, name in enumerate(order):
        before = order[:position]
        services[name] = edited(rnd, old["services"].get(name) if old else None, {n: services[n] for n in before})
    if old and rnd.random() < 0.3:
        services = renamed(rnd, services)
    if rnd.random() < 0.3:
        swap(rnd, services)
    for name in services:
        services[name] = {**services[name]}
    unique(services)
    if old and (keeps_subnets or rnd.random() < 0.7):
        networks = old["all_networks"]
    else:
        numbers = rnd.sample(range(5), 3)
        networks = {f"n{k}": network(f"p_n{k}", f"10.50.{numbers[k]}.0/24") for k in range(3)}
        if rnd.random() < 0.5:
            name = rnd.choice(sorted(OTHERS))
            networks["n2"] = network(name, OTHERS[name]) | {"external": True}
    for service in services.values():
        for key, joined in service["networks"].items():
            if joined.get("ipv4_address"):
                base = networks[key]["ipam"]["config"][0]["subnet"].removesuffix(".0/24")
                joined["ipv4_address"] = f"{base}.{joined['ipv4_address'].rpartition('.')[2]}"
    used = {key for service in services.values() for key in service["networks"]}
    volumes = dict(old["volumes"]) if old else {}
    for key in ("v0", "v1"):
        if not old or rnd.random() < 0.1:
            external = {"name": f"theirs_{key}", "external": True}
            volumes[key] = rnd.choice(({"name": f"p_{key}"}, {"name": f"other_{key}"}, external))
    return {
        "name": "p",
        "services": services,
        "networks": {key: said_of(networks[key]) for key in networks if key in used},
        "volumes": volumes | {"each": EACH},
        "configs": {"c": {"name": "p_c", "data": rnd.choice(CONTENTS)}},
        "all_networks": networks,
    }


def network(name: str, subnet: str) -> Mapped:
    return {"name": name, "ipam": {"config": [{"subnet": subnet}]}, "labels": {}}


def said_of(network: Mapped) -> Mapped:
    """A network of others is only named."""
    words = ("name", "external") if network.get("external") else ("name", "ipam", "labels")
    return {word: network[word] for word in words}


def canonical(project: Mapped) -> Mapped:
    return {key: value for key, value in project.items() if key != "all_networks"}


def edited(rnd: random.Random, was: Mapped | None, before: dict[str, Mapped]) -> Mapped:
    """One service; `before`: those that it may depend on."""
    service: Mapped = dict(was) if was else {"oneshot": rnd.random() < 0.15}

    def pick(chance: float = 0.1) -> bool:
        return was is None or rnd.random() < chance

    if pick():
        service["image"] = f"rootfs:/r{rnd.randint(0, 2)}"
    if pick():
        service["command"] = [str(rnd.randint(0, 2))]
    if pick():
        service["mem_limit"] = rnd.choice((None, 1 << 25, 1 << 26))
    if pick():
        service["labels"] = {"label": str(rnd.randint(0, 2))}
    if pick():
        service["hostname"] = rnd.choice((None, "front", "back"))
    if pick():
        server = ("always", "always", "unless-stopped", "on-failure", "no")
        service["restart"] = rnd.choice(("no", "on-failure") if service["oneshot"] else server)
    if pick():
        service["networks"] = {
            f"n{k}": {
                "ipv4_address": rnd.choice((None, f"0.0.0.{rnd.randint(10, 14)}")),
                "aliases": rnd.choice(([], ["x"])),
            }
            for k in rnd.sample(range(3), rnd.randint(0, 2))
        }
    else:
        service["networks"] = {key: dict(joined) for key, joined in service["networks"].items()}
    if pick():
        service["volumes"] = [
            {"type": "volume", "source": f"v{k}", "target": f"/v{k}"} for k in rnd.sample(range(2), rnd.randint(0, 2))
        ]
        service["volumes"] += [{"type": "volume", "target": "/anonymous"}] if rnd.random() < 0.2 else []
        service["volumes"] += [{"type": "volume", "source": "each", "target": "/each"}] if rnd.random() < 0.2 else []
    if pick():
        steps = [{"command": [rnd.choice("xy")]}, {"command": ["x"], "per_replica": True}]
        service["pre_start"] = rnd.choice(([], [], [], steps[:1], steps[1:], steps, steps[::-1]))
    if pick():
        ports = rnd.sample(range(5), rnd.choice((0, 0, 1, 2)))
        service["ports"] = [{"target": 80, "published": rnd.choice((f"{8000 + n}", ""))} for n in ports]
    if pick():
        hosts = ({}, {"host_ip": "127.0.0.1"}, {"host_ip": "10.0.0.9"})
        service["ports"] = [
            {k: v for k, v in port.items() if k != "host_ip"} | rnd.choice(hosts) for port in service["ports"]
        ]
    if pick():
        service["container_name"] = rnd.choice((None, None, "t0", "t1"))
    if pick(0.2) or not set(service["depends_on"]) <= set(before):
        service["depends_on"] = {
            name: {"condition": rnd.choice(("service_started", "service_healthy")), "restart": rnd.random() < 0.25}
            for name in rnd.sample(list(before), min(len(before), rnd.randint(0, 2)))
        }
    service["depends_on"] = {
        name: fitting(before[name], dependency) for name, dependency in service["depends_on"].items()
    }
    donors = [name for name, other in before.items() if not other["oneshot"] and other["scale"] != 0]
    for key in ("pid", "ipc"):
        shared = (service.get(key) or "").removeprefix("service:")
        if pick(0.05) or (shared and shared not in donors):
            service[key] = f"service:{rnd.choice(donors)}" if donors and rnd.random() < 0.2 else None
    if pick():
        service["scale"] = None if service["oneshot"] else rnd.choice((None, None, 1, 2, 3))
    if pick():
        service["differ"] = rnd.random() < 0.3
        service["leave"] = {"command": ["x"]} if rnd.random() < 0.3 else None
    if pick():
        service["configs"] = [{"source": "c"}] if rnd.random() < 0.4 else []
        service["environment"] = {"V": str(rnd.randint(0, 2)), "W": str(rnd.randint(0, 2))}
        service["file_variables"] = ["V"]
        words = ("recreate", "restart", "signal:HUP", "ignore")
        service["on_change"] = rnd.choice((None, {"*": rnd.choice(words)}))
    said = {key: service[key] for key in ("leave", "on_change") if service[key]}
    service["x-corral"] = said or None
    service["healthcheck"] = None if service["oneshot"] else CHECK
    return service


def fitting(target: Mapped, dependency: Mapped) -> Mapped:
    """A one-shot is never healthy, a server never completed."""
    condition = dependency["condition"]
    if target["oneshot"] and condition == "service_healthy":
        condition = "service_completed_successfully"
    if not target["oneshot"] and condition == "service_completed_successfully":
        condition = "service_started"
    return {**dependency, "condition": condition}


def renamed(rnd: random.Random, services: dict[str, Mapped]) -> dict[str, Mapped]:
    """One service gets another name and keeps everything it has."""
    was, name = rnd.choice(list(services)), f"r{rnd.randrange(1000)}"
    return {
        (name if key == was else key): {
            **service,
            "depends_on": {(name if to == was else to): how for to, how in service["depends_on"].items()},
            **{other: f"service:{name}" for other in ("pid", "ipc") if service[other] == f"service:{was}"},
        }
        for key, service in services.items()
    }


def swap(rnd: random.Random, services: dict[str, Mapped]) -> None:
    """Two services exchange what only one can have."""
    one, other = (services[name] for name in rnd.sample(list(services), 2))
    for key in ("ports", "container_name", "networks"):
        one[key], other[key] = other[key], one[key]


def unique(services: dict[str, Mapped]) -> None:
    """The second who asks for an address, port or name loses it; so does who has replicas."""
    had: set[Any] = set()

    def is_free(what: Any, service: Mapped) -> bool:
        free = what not in had and service["scale"] in (None, 1)
        had.add(what)
        return free

    for service in services.values():
        for key, joined in service["networks"].items():
            address = joined["ipv4_address"]
            if address and not is_free((key, address.rpartition(".")[2]), service):
                joined["ipv4_address"] = None
        service["ports"] = [
            port
            for n, port in enumerate(service["ports"])
            if (not port["published"] and n == 0) or (port["published"] and is_free(port["published"], service))
        ]
        if service["container_name"] and not is_free(service["container_name"], service):
            service["container_name"] = None


def document(project: Mapped) -> Mapped:
    """As the loader would give it: without our own words and without nothing."""
    services = {
        name: {key: value for key, value in service.items() if value is not None and key not in OURS}
        for name, service in project["services"].items()
    }
    shared = {service.get("ipc", "").removeprefix("service:") for service in services.values()}
    for name in shared & services.keys():
        services[name].setdefault("ipc", "shareable")
    for service in services.values():
        service["networks"] = {
            key: {k: v for k, v in joined.items() if v is not None} for key, joined in service["networks"].items()
        }
    for name, service in services.items():
        if project["services"][name]["differ"]:
            service["replicas"] = {str(n): replica(service, n) for n in range(1, (service.get("scale") or 1) + 1)}
    return {**canonical(project), "services": services}


def replica(service: Mapped, number: int) -> Mapped:
    """What the template of ours makes of one."""
    body = {key: value for key, value in service.items() if key not in ("depends_on", "replicas")}
    return body | {"environment": {"N": str(number)}, "labels": {**service["labels"], "number": str(number)}}
