"""All kinds by name, in the order in which things are needed."""

from reconciler.kind import Kind
from reconciler.kinds import container, endpoint, image, network, sandbox, volume

KINDS: dict[str, Kind] = {
    "image": image,
    "volume": volume,
    "network": network,
    "sandbox": sandbox,
    "endpoint": endpoint,
    "container": container,
}


PLACES = {name: place for place, name in enumerate(KINDS)}


def kind_of(resource_id: str) -> Kind:
    return KINDS[resource_id[: resource_id.index(":")]]


def place_of(resource_id: str) -> int:
    """Of its kind among them all, from 0."""
    return PLACES[resource_id[: resource_id.index(":")]]
