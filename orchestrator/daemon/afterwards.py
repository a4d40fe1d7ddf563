"""What is stored of a project after a command, made of what is stored now. Nothing is done here: it can be asked just to see."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from engine.types.infos import State
from orchestrator import errors, protocol
from orchestrator.daemon import keeper
from reconciler import one_offs
from reconciler.asking import Orphans, Recreate, refuse_unknown
from reconciler.stored import Stored
from specs import validate
from specs.canonical import user_namespace

Word = TypeVar("Word", bound=StrEnum)


def up(kept: keeper.Keeper, request: protocol.Up) -> Stored:
    """The machine's own default is kept with the project: another one counts from the next `up` on."""
    refuse_other(kept, request.document)
    with keeper.refusals():
        # alone: what it is put together with below may hide what is wrong with it
        validate.project({**request.document, "name": kept.name})
        return kept.stored.up(
            request.files,
            user_namespace.filled_in(request.document, kept.userns),
            kept.clock(),
            services=request.services,
            no_deps=request.no_deps,
            scale=request.scale,
            recreate=_word(Recreate, request.recreate),
            renew_volumes=request.renew_volumes,
            start=request.start,
            orphans=_word(Orphans, request.orphans),
            inactive=request.inactive,
        )


def refuse_other(kept: keeper.Keeper, document: protocol.Document) -> None:
    """Raises Invalid for another project's document."""
    said = document.get("name")
    if said not in (None, kept.name):
        raise errors.Invalid(f"the document is of project {said}, not of {kept.name}")


def _word(words: type[Word], text: str) -> Word:
    try:
        return words(text)
    except ValueError:
        raise errors.Invalid(f"{text!r} is none of {', '.join(each.value for each in words)}") from None


def run(kept: keeper.Keeper, request: protocol.Run) -> Stored:
    refuse_other(kept, request.document)
    document = user_namespace.filled_in(request.document, kept.userns)
    with keeper.refusals():
        validate.project(document)
        refuse_unknown(document, (request.service,))
        if request.name in kept.stored.wanted().get("services", {}):
            raise errors.Invalid(f"cannot run {request.name}: there is one already")
        body = one_offs.body_of(
            document,
            request.service,
            request.container_name,
            no_deps=request.no_deps,
            use_aliases=request.use_aliases,
        )
        uses = one_offs.uses_of(document, body)
        asked = one_offs.OneOff(request.service, body, uses, request.start, request.brief, request.heard)
        stored = kept.stored.without_orphans(request.files) if request.remove_orphans else kept.stored
        return stored.run(request.files, document, kept.clock(), request.name, asked, no_deps=request.no_deps)


def down(kept: keeper.Keeper, request: protocol.Down) -> Stored:
    return kept.stored.down(purge=request.volumes)


def remove(kept: keeper.Keeper, request: protocol.Rm) -> Stored:
    """Without the services, and their one-offs, that rest; a service some of whose containers run stays as it is. What is named
    and not made yet goes, too."""
    refuse_unknown(kept.stored.wanted(), request.services)
    containers = kept.containers().containers
    made = {each.service for each in containers}
    gone = (*request.gone_of(containers), *(name for name in request.services if name not in made))
    infos = [info for info in kept.look.containers if info.config.service in gone]
    return kept.stored.remove(gone, volumes=kept.stored.anonymous_of(infos) if request.volumes else ())


def stop(kept: keeper.Keeper, request: protocol.Stop) -> Stored:
    return kept.stored.stop(request.services)


def start(kept: keeper.Keeper, request: protocol.Start) -> Stored:
    return kept.stored.start(request.services, kept.clock())


def pause(kept: keeper.Keeper, request: protocol.Chosen) -> Stored:
    """Of these services (none named: of all) what runs stands still. Raises NotFound for a named one that does not run."""
    running = {info.config.service for info in kept.look.containers if info.state is State.RUNNING}
    refuse_unknown(kept.stored.canonical(), request.services)
    for service in request.services:
        if service not in running:
            raise errors.NotFound(f"service {service} is not running", hint="`corral ps -a` shows why")
    return kept.stored.pause(request.services or running.intersection(kept.stored.services))


def unpause(kept: keeper.Keeper, request: protocol.Chosen) -> Stored:
    return kept.stored.unpause(request.services)


After = Callable[[keeper.Keeper, Any], Stored]
BY_VERB: Mapping[str, tuple[type[Any], After]] = {
    "up": (protocol.Up, up),
    "run": (protocol.Run, run),
    "down": (protocol.Down, down),
    "rm": (protocol.Rm, remove),
    "stop": (protocol.Stop, stop),
    "start": (protocol.Start, start),
    "pause": (protocol.Chosen, pause),
    "unpause": (protocol.Chosen, unpause),
}
"""Of which commands it can be foretold what would come of them."""
WITH_A_DOCUMENT = ("up", "run")
