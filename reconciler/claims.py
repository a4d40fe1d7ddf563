"""What only one can have: when two claims meet, and who outside of the project has one.

Claims are indexed by their space ("subnet", "host port 80/tcp", "address in p_lab"); whether two of the same space
meet is asked here: subnets and ranges of ids overlap, a port on every address meets the same port on one, everything else
meets what is equal."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network

from engine.types.infos import Look, Taken
from engine.types.parts import IdRange, PortMap
from reconciler.resource import Claim, Gates

EVERY_ADDRESS, EVERY_ADDRESS6 = "0.0.0.0", "::"
SUBNET = "subnet"
IDS = "user ids"


def subnet(value: str) -> Claim:
    return Claim(SUBNET, value)


def address(network_name: str, value: str) -> Claim:
    return Claim(f"address in {network_name}", value)


def mac(network_name: str, value: str) -> Claim:
    return Claim(f"MAC address in {network_name}", value)


def host_port(port: PortMap) -> Claim:
    return Claim(f"host port {port.host_port}/{port.protocol}", port.host_ip or EVERY_ADDRESS, Gates.START)


def network_name(value: str) -> Claim:
    return Claim("network name", value)


def bridge(value: str) -> Claim:
    return Claim("interface", value)


def container_name(value: str) -> Claim:
    return Claim("container name", value)


def user_ids(value: IdRange) -> Claim:
    return Claim(IDS, f"{value.first}-{value.end - 1}")


def data_of(volume_name: str) -> Claim:
    return Claim("data of volume", volume_name, Gates.START, shared=True)


def life_of(name: str, *, is_alone: bool) -> Claim:
    """Of a service, or of a slot of one. `is_alone`: nobody else of it runs beside."""
    return Claim("life of", name, Gates.START if is_alone else Gates.FIRST_START, shared=not is_alone)


@lru_cache(maxsize=4096)
def subnets_overlap(one: str, other: str) -> bool:
    """False where either is not given, or they are of two families."""
    if not one or not other:
        return False
    subnets = ip_network(one, strict=False), ip_network(other, strict=False)
    return subnets[0].version == subnets[1].version and subnets[0].overlaps(subnets[1])


def meet(one: Claim, other: Claim) -> bool:
    """Whether both cannot be had at once. Symmetric."""
    if one.space != other.space:
        return False
    if one.space == SUBNET:
        return subnets_overlap(one.value, other.value)
    if one.space == IDS:
        (first, last), (other_first, other_last) = (map(int, each.value.split("-")) for each in (one, other))
        return first <= other_last and other_first <= last
    if one.space.startswith("host port "):
        if (":" in one.value) != (":" in other.value):
            return False
        return one.value == other.value or not {EVERY_ADDRESS, EVERY_ADDRESS6}.isdisjoint((one.value, other.value))
    return one.value == other.value


class Index:
    """Who has what: claims with their holders, found by what they meet."""

    def __init__(self, entries: Iterable[tuple[Claim, str]] = ()) -> None:
        self._by_space: dict[str, list[tuple[Claim, str]]] = defaultdict(list)
        for claim, who in entries:
            self.add(claim, who)

    def add(self, claim: Claim, who: str) -> None:
        self._by_space[claim.space].append((claim, who))

    def meeting(self, claim: Claim) -> set[str]:
        """Everybody who has something that meets `claim`."""
        return {who for other, who in self._by_space.get(claim.space, ()) if meet(claim, other)}


def elsewhere(taken: Taken, look: Look | None = None, project: str = "") -> Index:
    """What is had outside of `project`, by the words for who has it."""
    index = Index()
    for value, who in taken.subnets:
        index.add(subnet(value), who)
    for port, who in taken.ports:
        index.add(host_port(port), who)
    for value, who in taken.names:
        index.add(container_name(value), who)
    for ids, who in taken.ids:
        index.add(user_ids(ids), who)
    for value, who in taken.bridges:
        index.add(bridge(value), who)
    for joined, value, who in taken.addresses:
        index.add(address(joined, value), who)
    for network in look.networks if look else ():
        if network.config.project != project:
            index.add(network_name(network.config.name), f"project {network.config.project}")
    return index
