"""What the commands of users do: each makes a new Stored of a project, has it declared, keeps it, and wants it.

All that can be known to be wrong is refused before anything is stored or touched. What the loop then does is told in a feed,
whose last event says how it ended; who hangs up before that changes nothing.
"""

import logging
import signal
from typing import Any

from engine import errors as engine_errors
from engine.types.infos import ContainerInfo, State
from orchestrator import errors, protocol
from orchestrator.daemon import afterwards, changing, feeds, happenings, keeper, listing, records, urls
from orchestrator.daemon.projects import Projects
from reconciler.asking import refuse_unknown
from reconciler.stored import Stored

log = logging.getLogger(__name__)


# -------------------------------------------------------------------------------------------------- what is stored


async def down(projects: Projects, name: str, request: protocol.Down) -> feeds.Feed:
    """Want nothing of the project any more; its volumes stay unless told. Told, they go also after a `down` that left them. What
    runs under its name goes also where its record was lost."""
    runs = bool((await projects.engine.look(name)).containers)
    return await changing.change(
        projects,
        name,
        lambda kept: afterwards.down(kept, request),
        grace_s=request.timeout_s,
        revive=request.volumes or runs,
    )


async def remove(projects: Projects, name: str, request: protocol.Rm) -> feeds.Feed:
    await projects.known(name).watch.look(name)
    return await changing.change(
        projects, name, lambda kept: afterwards.remove(kept, request), grace_s=request.timeout_s
    )


async def stop(projects: Projects, name: str, request: protocol.Stop) -> feeds.Feed:
    return await changing.change(projects, name, lambda kept: afterwards.stop(kept, request), grace_s=request.timeout_s)


async def start(projects: Projects, name: str, request: protocol.Start) -> feeds.Feed:
    return await changing.change(
        projects,
        name,
        lambda kept: afterwards.start(kept, request),
        wait=request.wait,
        timeout_s=request.wait_timeout_s,
        takes_memory=True,
    )


async def restart(projects: Projects, name: str, request: protocol.Stop) -> feeds.Feed:
    """Stop, wait, start. Only the start is kept on disk: a daemon that dies in between starts them again."""
    now = projects.clock()
    kept = projects.known(name)
    kept.chronicle.expect_restart(
        info.uid for info in kept.look.containers if not request.services or info.config.service in request.services
    )

    def stopped(kept: keeper.Keeper) -> Stored:
        return (kept.stored.loosened() if request.no_deps else kept.stored).stop(request.services)

    return await changing.change(
        projects,
        name,
        stopped,
        grace_s=request.timeout_s,
        then=lambda kept: kept.stored.stop(request.services).start(request.services, now),
        takes_memory=True,
    )


async def pause(projects: Projects, name: str, request: protocol.Chosen) -> feeds.Feed:
    await projects.known(name).watch.look(name)
    return await changing.change(projects, name, lambda kept: afterwards.pause(kept, request))


async def unpause(projects: Projects, name: str, request: protocol.Chosen) -> feeds.Feed:
    return await changing.change(projects, name, lambda kept: afterwards.unpause(kept, request))


async def update(projects: Projects, name: str, request: protocol.Update) -> feeds.Feed:
    """Other limits than the file's, for containers that go on running."""
    if not request.services or not request.changes:
        raise errors.Invalid("cannot update nothing: name a service, and what is to change")
    changes = request.changes
    return await changing.change(
        projects, name, lambda kept: kept.stored.update(request.services, changes), takes_memory=True
    )


async def connect(projects: Projects, network: str, request: protocol.Connect) -> feeds.Feed:
    """Join a service to the network of this full name, beside what the file says."""
    project, service = await owner_of(projects, request.target, request.project)
    return await changing.change(projects, project, lambda kept: kept.stored.connect(service, network, request.joined))


async def disconnect(projects: Projects, network: str, request: protocol.Connect) -> feeds.Feed:
    """Take a service out of the network of this full name, whatever the file says."""
    project, service = await owner_of(projects, request.target, request.project)
    return await changing.change(projects, project, lambda kept: kept.stored.disconnect(service, network))


async def hosts(projects: Projects, name: str, request: protocol.Hosts) -> dict[str, Any]:
    """This machine's own programs find the project's containers by name, or do not any more; how it is then. What cannot be done
    is not kept either."""
    kept = projects.known(name)
    async with kept.lock:
        kept = projects.known(name)
        before = kept.stored
        _keep(kept, kept.stored.hosts(request.on))
        try:
            await projects.name_on_machine()
        except engine_errors.EngineError as error:
            _keep(kept, before)
            projects.wished()
            raise errors.Refused(str(error)) from error
    return machine_names(projects, name)


def _keep(kept: keeper.Keeper, stored: Stored) -> None:
    """What changes nothing that is wanted of the loop."""
    kept.save(stored)
    kept.stored = stored


def machine_names(projects: Projects, name: str) -> dict[str, Any]:
    """How this machine finds the project's containers by name: see `engine.types.infos.MachineNames`."""
    on = projects.known(name).stored.overlay.hosts
    found = projects.engine.machine_names(name)
    lines = [{"address": address, "names": list(words)} for address, words in found.lines]
    return {"on": on, "way": found.way, "place": found.place, "lines": lines, "problem": found.problem}


async def owner_of(projects: Projects, target: str, project: str) -> tuple[str, str]:
    """(project, service) of a service of this project, or of a container by its name. Raises NotFound, Refused."""
    for kept in projects.keepers():
        if kept.name == project and target in kept.stored.services:
            return project, target
    for kept in projects.keepers():
        containers = (await projects.engine.look(kept.name)).containers
        for info in containers:
            if info.config.name == target:
                if sum(each.config.service == info.config.service for each in containers) > 1:
                    hint = f"corral -p {kept.name} network … {info.config.service}"
                    raise errors.Refused(
                        f"{target} is one of several: networks are joined by all of a service", hint=hint
                    )
                return kept.name, info.config.service
    raise errors.NotFound(
        f"no service or container is called {target}", hint="`corral ps -a` lists them; -p names a project"
    )


# -------------------------------------------------------------------------------------------------- single containers


async def rows(projects: Projects, name: str) -> list[dict[str, Any]]:
    """What `ps` shows; nothing for a project that is not up."""
    records.check_name(name)
    look = await projects.engine.look(name)
    try:
        kept = projects.known(name)
    except (errors.NotFound, errors.Damaged):
        return listing.rows_of(look, name, health=projects.monitor.records(), now=projects.clock())
    pages = urls.of_look(look, kept.stored.canonical(), named=kept.stored.overlay.hosts)
    return listing.rows_of(
        look,
        name,
        health=projects.monitor.records(),
        pages=pages,
        restarting=kept.restarting(),
        now=projects.clock(),
    )


async def containers(projects: Projects, name: str) -> protocol.Containers:
    """Of a project that is up, as of now, with the paths of their output."""
    kept = projects.known(name)
    await kept.watch.look(name)
    return kept.containers()


async def listen(projects: Projects, name: str) -> feeds.Feed:
    """What happens to a project that is up, from now on, for as long as somebody listens; its containers first."""
    found = await containers(projects, name)
    feed = projects.known(name).follow(containers=True)
    feed.put(found)
    return feed


async def kill(projects: Projects, name: str, request: protocol.Kill) -> list[str]:
    """Send a signal; the names of the containers that got it. One that is to end a container keeps it stopped."""
    kept = projects.known(name)
    number = signal_number(request.signal)
    with keeper.refusals():
        refuse_unknown(kept.stored.canonical(), request.services)
    async with kept.lock:
        look = await projects.engine.look(name)
        running = [
            info
            for info in look.containers
            if info.state is State.RUNNING and (not request.services or info.config.service in request.services)
        ]
        ours = [info for info in running if not info.config.run_of]  # a one-off rests by itself
        ended = {info.config.service for info in ours if number in (signal.SIGKILL, info.config.stop_signal)}
        declared = await kept.declare(kept.stored.stop(sorted(ended))) if ended else None
        if declared:
            kept.save(declared.stored)
        for info in running:
            kept.chronicle.tell(happenings.killed(info, number, projects.clock()))
            await _signal(projects, info, number)
        if declared:
            kept.want(declared)
    return sorted(info.config.name for info in running)


async def _signal(projects: Projects, info: ContainerInfo, number: int) -> None:
    try:
        await projects.engine.signal(info.uid, number)
    except engine_errors.Superseded:
        log.info("%s ended by itself before its signal", info.config.name)
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error


def signal_number(text: str) -> int:
    """9, KILL or SIGKILL. Raises Invalid."""
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper()
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        raise errors.Invalid(f"no signal is called {text!r}") from None
