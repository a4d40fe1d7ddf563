"""The steps of `pre_start`: containers that run to their end, one after the other, before the first start of the service's own.

They are containers like any other, in the sandbox of the service's: they outlive the daemon, and what has succeeded stays done.
A step's definition is that of what comes after it, so that a service that is made anew has them run again, and nothing else
has. No step runs beside a container that it comes before.
"""

from collections.abc import Iterator
from dataclasses import replace

from engine.types.configs import ContainerConfig
from engine.types.infos import State
from engine.types.parts import RestartPolicy
from reconciler import definitions
from reconciler.kind import Things
from reconciler.kinds import container_config, container_contents, container_words, image
from reconciler.resource import Depth, Edge, Gates, Needs, Resource
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.model.service import InitStep, Service

STEP = "/pre_start-"
NUMBER = 0
"""Of every step: those of the service's own containers begin with 1."""


def slot_name(slot: Slot, service: Service, number: int) -> str:
    """What stands before the slash may not run beside it."""
    return f"{slot.name if service.pre_start[number].per_replica else slot.service}{STEP}{number}"


def declare(wish: Wish, slot: Slot, service: Service, edges: tuple[Edge, ...]) -> Iterator[Resource]:
    """The steps that run in this slot. `edges` are those of its container."""
    own = container_config.of_slot(wish, slot, service)
    steps = steps_before(wish, slot, service, len(service.pre_start))
    common = {edge.to: edge for edge in edges if edge.to not in steps}
    for number, step in enumerate(service.pre_start):
        if step.per_replica or slot == wish.slots[slot.service][0]:
            config = config_of(own, slot, service, number)
            before = steps_before(wish, slot, service, number)
            yield Resource(
                f"container:{config.slot}",
                config,
                (
                    *({image.id_of(config.image): Edge(image.id_of(config.image))} | common).values(),
                    *map(edge_to, before),
                ),
                Depth.STOP if wish.overlay.is_stopped(slot.service) else Depth.STAY,
                wish.asked.get(slot.service, 0.0),
            )


def edge_to(step_id: str) -> Edge:
    return Edge(step_id, Needs.COMPLETED, Gates.FIRST_START)


def not_run(want: Resource, things: Things) -> str:
    """A step that comes before it and has still to run: an edit that came and went has had it made anew. "" for none. Of those
    of each replica that one for all comes after, the ones of its own sandbox tell: another replica may be one more."""
    assert isinstance(want.config, ContainerConfig)
    is_for_all = want.config.slot.startswith(f"{want.config.service}{STEP}")
    for edge in want.edges:
        have = things.get(edge.to) if edge.gates is Gates.FIRST_START and STEP in edge.to else None
        if have is None or have.state is not State.MADE:
            continue
        assert isinstance(have.config, ContainerConfig)
        if not is_for_all or have.config.sandbox == want.config.sandbox:
            return edge.to
    return ""


def steps_before(wish: Wish, slot: Slot, service: Service, number: int) -> tuple[str, ...]:
    """The ids of all steps before the one with this number in this slot; before one that is for all slots, of all slots."""
    slots = wish.slots[slot.service]
    is_for_all = number < len(service.pre_start) and not service.pre_start[number].per_replica
    found: list[str] = []
    for earlier, step in enumerate(service.pre_start[:number]):
        those = slots[:1] if not step.per_replica else slots if is_for_all else (slot,)
        found += [f"container:{slot_name(each, service, earlier)}" for each in those]
    return tuple(found)


def config_of(own: ContainerConfig, slot: Slot, service: Service, number: int) -> ContainerConfig:
    """What a step is asked to be: as the service's container `own`, but for what the step says itself."""
    step = service.pre_start[number]
    name = own.name if step.per_replica or service.container_name else f"{own.project}-{slot.service}"
    return replace(
        own,
        name=f"{name}-pre_start-{number}",
        number=NUMBER,
        slot=slot_name(slot, service, number),
        image=step.image or own.image,
        entrypoint=None,
        command=step.command or None,
        environment=tuple(sorted((dict(own.environment) | step.environment).items())),
        user=user_of(own, step),
        working_dir=step.working_dir or own.working_dir,
        security=container_config.security_of(service.model_copy(update={"privileged": True}))
        if step.privileged
        else own.security,
        ports=(),
        expose=(),
        restart=RestartPolicy(),
        healthcheck=None,
        post_start=(),
        pre_stop=(),
        tty=False,
        stdin_open=False,
        definition=definition_of(own),
    )


def user_of(own: ContainerConfig, step: InitStep) -> str:
    return step.user or ("" if step.image else own.user)


def definition_of(own: ContainerConfig) -> str:
    """Of all that makes the container anew when it changes."""
    own = container_contents.lasting(own)
    names = [name for name, word in container_words.WORDS.items() if not word.live]
    return definitions.digest_of({name: getattr(own, name) for name in names})
