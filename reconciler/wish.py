"""Everything that the kinds declare from: the validated project, and what was chosen or said beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.types.configs import ContainerConfig, NetworkConfig, VolumeConfig
from engine.types.parts import IdRange
from reconciler import id_leases
from reconciler.leases import Leases
from reconciler.overlay import Overlay
from reconciler.resource import Edge
from reconciler.slots import Slot
from specs.canonical import isolation
from specs.model.project import Project
from specs.model.service import Service


@dataclass(frozen=True, slots=True)
class Wish:
    """`slots` by service; `external`: networks that others made, by full name; `asked` by service; `purged`:
    volumes to remove with their data; `also_unused`: networks and volumes are wanted though no service has them; `leaving`:
    containers of replicas that a smaller scale wants no longer, and the edges they had when they were last wanted."""

    project: Project
    slots: Mapping[str, tuple[Slot, ...]]
    leases: Leases
    overlay: Overlay = field(default_factory=Overlay)
    asked: Mapping[str, float] = field(default_factory=dict)
    external: Mapping[str, NetworkConfig] = field(default_factory=dict)
    purged: tuple[VolumeConfig, ...] = ()
    also_unused: bool = False
    leaving: tuple[tuple[ContainerConfig, tuple[Edge, ...]], ...] = ()

    def members(self) -> Iterator[tuple[Slot, Service]]:
        """Every slot with what it is to be."""
        for name in self.project.services:
            for slot in self.slots[name]:
                yield slot, self.service_of(slot)

    def service_of(self, slot: Slot) -> Service:
        """What this slot is to be: all slots of a service are alike, unless its replicas differ."""
        return self.project.replica(slot.service, slot.number)

    def ids_of(self, slot: Slot, service: Service) -> IdRange | None:
        """Of the slot's user namespace, where it has one."""
        has_one = isolation.has_user_namespace(service)
        return id_leases.range_of(self.leases.ids[slot.name]) if has_one else None
