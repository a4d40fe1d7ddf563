"""What is mounted in a service's containers, in the engine's words."""

from collections.abc import Iterator
from dataclasses import replace

from engine.types.parts import BindMount, Mount, TmpfsMount, VolumeMount
from reconciler import sharing, volume_leases
from reconciler.errors import DeclareError
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import namespaces, tmpfs
from specs.model.service import ServiceVolume

DEFAULT_TMPFS_MODE = 0o1777


def mounts_of(wish: Wish, slot: Slot) -> tuple[Mount, ...]:
    """One for each target: what `volumes_from` brings, then the service's own volumes, then tmpfs; the later wins."""
    by_target: dict[str, Mount] = {}
    for mount in inherited(wish, slot, frozenset({slot.service})):
        by_target[mount.target] = mount
    for text in wish.service_of(slot).tmpfs:
        options = tmpfs.parse(text)
        by_target[options.target] = TmpfsMount(
            options.target,
            options.size_bytes,
            options.mode,
            options.uid,
            options.gid,
            options.read_only,
            options.no_exec,
        )
    return tuple(by_target.values())


def inherited(wish: Wish, slot: Slot, above: frozenset[str]) -> Iterator[Mount]:
    """What `volumes_from` brings (of another service, what its first container has), and the service's own volumes. `above`:
    the services that inherit from this one."""
    service = wish.service_of(slot)
    for text in service.volumes_from:
        path = ("services", slot.service, "volumes_from")
        giver, is_read_only = text.removesuffix(":ro"), text.endswith(":ro")
        if namespaces.container_of(giver):
            first = sharing.named(wish, giver, path)
        else:
            first = (*wish.slots.get(giver, ()), Slot(giver, giver, 1))[0]
        if first.service in above:
            raise DeclareError(f"{slot.service} and {first.service} take their volumes from each other", path)
        for mount in inherited(wish, first, above | {first.service}):
            yield read_only(mount) if is_read_only else mount
    for volume in service.volumes:
        if (own := mount_of(wish, slot, volume)) is not None:
            yield own


def read_only(mount: Mount) -> Mount:
    return mount if isinstance(mount, TmpfsMount) else replace(mount, read_only=True)


def mount_of(wish: Wish, slot: Slot, volume: ServiceVolume) -> Mount | None:
    """None: an anonymous volume of a container that is not wanted."""
    match volume.type:
        case "bind":
            bind = volume.bind
            return BindMount(
                volume.source, volume.target, volume.read_only, bind.create_host_path, bind.propagation, bind.recursive
            )
        case "volume":
            name = name_of(wish, slot, volume)
            options = volume.volume
            mount = VolumeMount(name, volume.target, volume.read_only, options.nocopy, options.subpath)
            return mount if name else None
        case "tmpfs":
            mode = DEFAULT_TMPFS_MODE if volume.tmpfs.mode is None else volume.tmpfs.mode
            return TmpfsMount(volume.target, volume.tmpfs.size, mode, read_only=volume.read_only)


def name_of(wish: Wish, slot: Slot, volume: ServiceVolume) -> str:
    """The full name of a volume."""
    if volume.source:
        return wish.project.volumes[volume.source].name_for(slot.number)
    return wish.leases.volumes.get(volume_leases.volume_key(slot, volume.target), "")
