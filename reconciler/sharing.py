"""Whose sandbox and whose namespaces a slot's container is in: names of services and containers, followed to the end.

`service:x` is x's first container, whoever else x has. Where that one is in another's namespace itself, it is that other's.
A container is known by its name in its own project only: what another project has may go without a word to this one."""

from engine.types.parts import IdRange, Namespaces, Of, Scope
from reconciler import naming
from reconciler.errors import Conflict, DeclareError
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import isolation, namespaces, user_namespace
from specs.model.service import Service


def sandbox_of(wish: Wish, slot: Slot) -> str:
    """The name of the sandbox that the slot's container runs in."""
    return owner_of(wish, slot, "network_mode").name


def has_sandbox(service: Service) -> bool:
    return not namespaces.is_joined(service.network_mode)


def namespaces_of(wish: Wish, slot: Slot, service: Service) -> Namespaces:
    return Namespaces(
        _scope_of(wish, slot, "pid"),
        _scope_of(wish, slot, "ipc"),
        Scope.HOST if service.uts == "host" else Scope.OWN,
        Scope.HOST if service.cgroup == "host" else Scope.OWN,
    )


def ids_of(wish: Wish, slot: Slot, service: Service) -> IdRange | None:
    """The user ids of the sandbox that the slot's container runs in. Raises DeclareError where the service wants it otherwise."""
    owner = owner_of(wish, slot, "network_mode")
    ids = wish.ids_of(owner, wish.service_of(owner))
    path = ("services", slot.service, "network_mode")
    if ids and (service.privileged or service.userns_mode == user_namespace.HOST):
        message = f"{owner.service} has a user namespace, and this service is to be the machine's root"
        raise DeclareError(message, path, hint=f"say userns_mode: host at {owner.service}")
    if not ids and isolation.has_user_namespace(service):
        message = f"{owner.service} has no user namespace, and this service is to have one"
        raise DeclareError(message, path, hint=f"say userns_mode: auto at {owner.service}")
    return ids


def owner_of(wish: Wish, slot: Slot, key: str) -> Slot:
    """Who has the namespace that `key` of the slot's service leads to. Raises DeclareError."""
    seen = [slot.service]
    while namespaces.is_joined(said := getattr(wish.service_of(slot), key)):
        path = ("services", slot.service, key)
        slot = named(wish, said, path)
        if slot.service in seen:
            raise Conflict(f"{said} leads back to {slot.service}", path)
        seen.append(slot.service)
    return slot


def named(wish: Wish, said: str, path: tuple[str, ...]) -> Slot:
    """The slot that `service:NAME` or `container:NAME` names."""
    service_name, container_name = namespaces.service_of(said), namespaces.container_of(said)
    if service_name:
        if not wish.slots.get(service_name):
            raise DeclareError(f"{service_name} has no container to share with", path)
        return wish.slots[service_name][0]
    for slot, service in wish.members():
        if naming.container_name(wish.project.name, slot, service) == container_name:
            return slot
    message = f"project {wish.project.name} has no container {container_name}"
    is_shared = path[-1] in namespaces.KEYS
    hint = "namespaces are shared within a project; join another project's network by declaring it external"
    raise DeclareError(message, path, hint if is_shared else "name one of this project's")


def _scope_of(wish: Wish, slot: Slot, key: str) -> Scope | Of:
    owner = owner_of(wish, slot, key)
    said = getattr(wish.service_of(owner), key)
    if owner == slot:
        return {"host": Scope.HOST, "none": Scope.NONE}.get(said, Scope.OWN)
    if said == "host":
        return Scope.HOST
    if ids_of(wish, slot, wish.service_of(slot)) != ids_of(wish, owner, wish.service_of(owner)):
        message = f"{owner.service} has another user namespace"
        hint = f"share its network too (network_mode: service:{owner.service}), or say userns_mode: host at both"
        raise DeclareError(message, ("services", slot.service, key), hint)
    if key == "ipc" and said != "shareable":
        path = ("services", slot.service, key)
        hint = f"say ipc: shareable at {owner.service}"
        raise DeclareError(f"{owner.service} does not share its ipc namespace", path, hint)
    return Of(owner.name)
