"""A network: a bridge with a subnet that only it has. External ones are looked at and joined, never made, changed
or removed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.types.configs import Config, NetworkConfig
from engine.types.infos import Look, NetworkInfo
from reconciler import addressing, difference, kind
from reconciler import claims as claiming
from reconciler.difference import Word
from reconciler.kind import Things
from reconciler.resource import Blocked, Claim, Depth, Difference, Met, Needs, Observed, Resource, Step, Verb
from reconciler.wish import Wish
from specs.canonical import bridge_options
from specs.model.network import Network

name = "network"

WORDS = {
    "name": Word("name"),
    "subnet": Word("subnet"),
    "gateway": Word("gateway"),
    "internal": Word("internal"),
    "key": Word("key", live=True),
    "subnet6": Word("IPv6 subnet"),
    "gateway6": Word("IPv6 gateway"),
    "bridge": Word("bridge name"),
    "mtu": Word("mtu", live=True),
    "icc": Word("enable_icc", live=True),
    "masquerade": Word("enable_ip_masquerade", live=True),
    "host_ip": Word("host_binding_ipv4", live=True),
    "interface_prefix": Word("container_iface_prefix", live=True),
    "reserved": Word("aux_addresses", live=True, members=True, show=str),
    "ip_range": Word("ip_range", live=True),
    "ip_range6": Word("ip_range of IPv6", live=True),
    "labels": Word("labels", live=True, members=True),
}


def id_of(key: str) -> str:
    return f"network:{key}"


def config_of(wish: Wish, key: str) -> NetworkConfig | None:
    """What the network is, or will be; None: it is external and nobody has made it."""
    network = wish.project.networks[key]
    if network.external:
        return wish.external.get(network.name)
    options = bridge_options.parse(network.driver_opts)
    subnet, subnet6 = wish.leases.subnets.get(key, ""), wish.leases.subnets6.get(key, "")
    return NetworkConfig(
        network.name,
        wish.project.name,
        key,
        subnet,
        addressing.gateway_of(subnet, network.pool.gateway) if subnet else "",
        network.internal,
        options.mtu,
        labels=tuple(sorted(network.labels.items())),
        subnet6=subnet6,
        gateway6=addressing.gateway_of(subnet6, network.pool6.gateway) if subnet6 else "",
        bridge=options.bridge,
        icc=options.icc,
        masquerade=options.masquerade,
        host_ip=options.host_ip,
        interface_prefix=options.interface_prefix,
        reserved=reserved_of(network),
        ip_range=(network.pool.ip_range or "") if subnet else "",
        ip_range6=(network.pool6.ip_range or "") if subnet6 else "",
    )


def reserved_of(network: Network) -> tuple[str, ...]:
    given = {addressing.plain(text) for pool in network.ipam.config for text in pool.aux_addresses.values()}
    return tuple(sorted(given))


def declare(wish: Wish) -> Iterator[Resource]:
    used = {key for _, service in wish.members() for key in service.networks}
    for key in sorted(wish.project.networks if wish.also_unused else used):
        network = wish.project.networks[key]
        config = config_of(wish, key) or NetworkConfig(network.name, "", key, "", "")
        yield Resource(id_of(key), config, external=network.external)


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    ids = {want.config.name: want for want in wanted.values() if isinstance(want.config, NetworkConfig)}
    for info in look.networks:
        want = ids.get(info.config.name)
        if info.config.project == project or (want and want.external):
            yield Observed(want.id if want else id_of_made(info.config.key, info.config.name, wanted), info)


def id_of_made(key: str, called: str, wanted: Mapping[str, Resource]) -> str:
    """Of the network that was made for this key: where the key now means an external one, that one has the key's id, and what
    was made before is another, which goes."""
    want = wanted.get(id_of(key))
    if want is None or not want.external:
        return id_of(key)
    assert isinstance(want.config, NetworkConfig)
    return id_of(key if want.config.name == called else f"{key}/{called}")


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    assert isinstance(have.info, NetworkInfo)
    return kind.with_drift(difference.between(have.config, want.config, WORDS), have.info.drift)


def step_up(want: Resource, have: Observed | None, now: float) -> Step | Blocked | None:
    if have is None and want.external:
        assert isinstance(want.config, NetworkConfig)
        return kind.nobody_made_it(want, f"network {want.config.name}")
    return kind.made_once(want, have)


def step_down(have: Observed, depth: Depth) -> Step | None:
    return kind.remove(have) if depth >= Depth.GONE else None


def claims(config: Config) -> tuple[Claim, ...]:
    assert isinstance(config, NetworkConfig)
    subnets = (claiming.subnet(subnet) for subnet in (config.subnet, config.subnet6) if subnet)
    bridge = (claiming.bridge(config.bridge),) if config.bridge else ()
    return (*subnets, claiming.network_name(config.name), *bridge)


def release(want: Resource, have: Observed) -> Step | None:
    return None


def meets(have: Observed, needs: Needs) -> Met:
    return kind.ALWAYS


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    if step.verb is Verb.REMOVE:
        return None
    assert isinstance(step.config, NetworkConfig)
    if step.verb is Verb.CREATE or have is None:
        return Observed(step.id, NetworkInfo(step.config, uid))
    return replace(have, info=NetworkInfo(step.config, have.uid))


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
