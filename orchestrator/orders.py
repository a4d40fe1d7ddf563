"""What the commands of users do: each makes a new Stored of a project, has it declared, keeps it, and wants it.

All that can be known to be wrong is refused before anything is stored or touched. What the loop then does is told in a feed,
whose last event says how it ended; who hangs up before that changes nothing.
"""

import logging
import signal
from collections.abc import Callable
from typing import Any

import anyio

from engine import errors as engine_errors
from engine.api import Command, Copying
from engine.types.infos import ContainerInfo, Look, State
from orchestrator import errors, feeds, happenings, keeper, listing, protocol, records, urls
from orchestrator.projects import Projects
from reconciler import claims, forecast, memory, render
from reconciler.actual import ActualState
from reconciler.declaration import Declaration
from reconciler.overlay import key_of
from reconciler.resource import Verb
from reconciler.stored import Stored, refuse_unknown
from specs import user_namespace

log = logging.getLogger(__name__)


# --------------------------------------------------------------------------------------------------- what is declared


async def up(projects: Projects, name: str, request: protocol.Up) -> feeds.Feed:
    """Want what the request says. With `attach` the feed goes on after Settled."""
    kept = projects.known_or_new(name)
    async with kept.lock:
        kept = projects.known_or_new(name)  # it may have been taken down while we waited
        stored = _after_up(kept, request, projects.userns)
        declared = await kept.declare(stored, refuse_taken=True)
        _refuse_memory(projects, name, declared)
        kept.save(declared.stored)
        kept.watch.grace_s = request.timeout_s
        feed = kept.follow(containers=request.attach)
        number = kept.want(declared)
        projects.keep(kept)
    for each in stored.orphans(request.files):
        feed.put(
            protocol.Note(f"service {each} is declared by other files of this project; --remove-orphans removes it")
        )
    _settle(projects, kept, feed, number, wait=request.wait, timeout_s=request.wait_timeout_s, attach=request.attach)
    return feed


async def plan(projects: Projects, name: str, request: protocol.Up) -> dict[str, Any]:
    """What `up` would do, as render.json says it, with `text` beside it. Changes nothing."""
    kept = projects.known_or_new(name)
    wanted = _after_up(kept, request, projects.userns)
    declared = await kept.declare(wanted, refuse_taken=True)
    _refuse_memory(projects, name, declared)
    look, taken = await projects.engine.look(name), await projects.engine.taken(name)
    things = ActualState.of(look, declared.desired, projects.monitor.statuses()).things
    elsewhere = claims.elsewhere(taken, look, name)
    found = forecast.preview(declared.desired, things, now=projects.clock(), elsewhere=elsewhere)
    found = forecast.attributed(found, said_by_commands(kept.stored, wanted, look))
    return {**render.json(found), "text": render.text(found)}


def _refuse_memory(projects: Projects, name: str, declared: Declaration) -> None:
    """Raises Invalid where more memory is to be guaranteed than is there. Nothing may come between this and its being wanted."""
    others = (kept for kept in projects.keepers() if kept.name != name)
    guaranteed = [kept for kept in others if memory.is_guaranteed(kept.stored.canonical())]
    theirs = [(kept.name, memory.total_bytes(kept.loop.desired)) for kept in guaranteed]
    with keeper.refusals():
        memory.refuse(declared.project, declared.desired, projects.engine.memory_bytes(), theirs)


def said_by_commands(before: Stored, after: Stored, look: Look) -> dict[str, dict[str, str]]:
    """As `forecast.attributed` wants it: what commands had said, and `after` says no longer."""
    lost = before.overlay.taken_back(after.overlay)
    canonical = before.overlay.over(before.canonical())
    found: dict[str, dict[str, str]] = {}
    for info in look.containers:
        words = lost.get(info.config.service, {})
        found[f"container:{info.config.slot}"] = words
        for network, command in words.items():
            found[f"endpoint:{info.config.slot}/{key_of(canonical, network)}"] = {"": command}
    return found


def _after_up(kept: keeper.Keeper, request: protocol.Up, userns: str) -> Stored:
    """The machine's own default is kept with the project: another one counts from the next `up` on."""
    said = request.document.get("name")
    if said not in (None, kept.name):
        raise errors.Invalid(f"the document is of project {said}, not of {kept.name}")
    with keeper.refusals():
        return kept.stored.up(
            request.files,
            user_namespace.filled_in(request.document, userns),
            kept.clock(),
            services=request.services,
            no_deps=request.no_deps,
            scale=request.scale,
            force_recreate=request.force_recreate,
            remove_orphans=request.remove_orphans,
        )


# -------------------------------------------------------------------------------------------------- what is stored


async def down(projects: Projects, name: str, request: protocol.Down) -> feeds.Feed:
    """Want nothing of the project any more; its volumes stay unless told. Told, they go also after a `down` that left them. What
    runs under its name goes also where its record was lost."""
    runs = bool((await projects.engine.look(name)).containers)
    return await _change(
        projects,
        name,
        lambda stored: stored.down(purge=request.volumes),
        grace_s=request.timeout_s,
        revive=request.volumes or runs,
    )


async def stop(projects: Projects, name: str, request: protocol.Stop) -> feeds.Feed:
    return await _change(projects, name, lambda stored: stored.stop(request.services), grace_s=request.timeout_s)


async def start(projects: Projects, name: str, request: protocol.Start) -> feeds.Feed:
    now = projects.clock()
    return await _change(
        projects,
        name,
        lambda stored: stored.start(request.services, now),
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
    return await _change(
        projects,
        name,
        lambda stored: stored.stop(request.services),
        grace_s=request.timeout_s,
        then=lambda stored: stored.start(request.services, now),
        takes_memory=True,
    )


async def pause(projects: Projects, name: str, request: protocol.Chosen) -> feeds.Feed:
    """Of these services (none named: of all) what runs stands still. Raises NotFound for a named one that does not run."""
    look = await projects.engine.look(name)
    running = {info.config.service for info in look.containers if info.state is State.RUNNING}

    def paused(stored: Stored) -> Stored:
        refuse_unknown(stored.canonical(), request.services)
        for service in request.services:
            if service not in running:
                raise errors.NotFound(f"service {service} is not running", hint="`corral ps -a` shows why")
        return stored.pause(request.services or running.intersection(stored.services))

    return await _change(projects, name, paused)


async def unpause(projects: Projects, name: str, request: protocol.Chosen) -> feeds.Feed:
    return await _change(projects, name, lambda stored: stored.unpause(request.services))


async def update(projects: Projects, name: str, request: protocol.Update) -> feeds.Feed:
    """Other limits than the file's, for containers that go on running."""
    if not request.services or not request.changes:
        raise errors.Invalid("cannot update nothing: name a service, and what is to change")
    changes = request.changes
    return await _change(projects, name, lambda stored: stored.update(request.services, changes), takes_memory=True)


async def connect(projects: Projects, network: str, request: protocol.Connect) -> feeds.Feed:
    """Join a service to the network of this full name, beside what the file says."""
    joined: dict[str, Any] = {"aliases": list(request.aliases)} if request.aliases else {}
    joined |= {"ipv4_address": request.address} if request.address else {}
    project, service = await owner_of(projects, request.target, request.project)
    return await _change(projects, project, lambda stored: stored.connect(service, network, joined))


async def disconnect(projects: Projects, network: str, request: protocol.Connect) -> feeds.Feed:
    """Take a service out of the network of this full name, whatever the file says."""
    project, service = await owner_of(projects, request.target, request.project)
    return await _change(projects, project, lambda stored: stored.disconnect(service, network))


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


Change = Callable[[Stored], Stored]


async def _change(
    projects: Projects,
    name: str,
    change: Change,
    *,
    grace_s: float | None = None,
    then: Change | None = None,
    wait: bool = False,
    timeout_s: float | None = None,
    revive: bool = False,
    takes_memory: bool = False,
) -> feeds.Feed:
    """`revive`: a project that is not up will do; it may have left something. `takes_memory`: more of it may be wanted then."""
    find = projects.known_or_new if revive else projects.known
    kept = find(name)
    async with kept.lock:
        kept = find(name)
        with keeper.refusals():
            stored = change(kept.stored)
            after = then(stored) if then else None
        declared = await kept.declare(stored)
        last = await kept.declare(after) if after else declared
        if takes_memory:
            _refuse_memory(projects, name, last)
        kept.save(after or declared.stored)
        kept.watch.grace_s = grace_s
        feed = kept.follow()
        number = kept.want(declared)
        projects.keep(kept)
    _settle(projects, kept, feed, number, wait=wait, timeout_s=timeout_s, then=after)
    return feed


# ------------------------------------------------------------------------------------------------------- how it ends


def _settle(
    projects: Projects,
    kept: keeper.Keeper,
    feed: feeds.Feed,
    number: int,
    *,
    wait: bool = False,
    timeout_s: float | None = None,
    attach: bool = False,
    then: Stored | None = None,
) -> None:
    """Put the end into the feed when it comes. `then` is wanted after the first settling, unless a newer command came."""

    async def watch() -> None:
        last = number
        not_stopped: tuple[protocol.Waiting, ...] = ()
        if then is not None:
            first = await kept.settle(number)
            not_stopped = tuple(each for each in first.waiting if each.verb == Verb.STOP)
            async with kept.lock:
                if kept.wish == number:
                    last = kept.want(await kept.declare(then))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give_up, tasks.cancel_scope)
            settled = await kept.settle(last, wait=wait, timeout_s=timeout_s)
            if not_stopped:
                settled = settled._replace(outcome=1, waiting=(*not_stopped, *settled.waiting))
            if attach and settled.outcome == 0:
                feed.put(settled)
                feed.put(kept.containers())
            else:
                feed.end(settled)
            tasks.cancel_scope.cancel()

    async def give_up(scope: anyio.CancelScope) -> None:
        await feed.closed.wait()
        scope.cancel()

    async def guarded() -> None:
        try:
            await watch()
        except (errors.Refused, engine_errors.EngineError) as error:
            feed.end(protocol.Settled(1, notes=(str(error),)))
        except Exception as error:  # a fault of ours in one command must not stop all others
            log.exception("project %s", kept.name)
            feed.end(protocol.Settled(1, notes=(f"the daemon failed: {type(error).__name__}: {error}",)))

    projects.start_soon(guarded)


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
        ended = {info.config.service for info in running if number in (signal.SIGKILL, info.config.stop_signal)}
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


async def session(projects: Projects, name: str, request: protocol.Exec) -> int:
    """A connected socket that speaks engine.process.wire with a new command in a container; the caller closes it."""
    kept = projects.known(name)
    if not request.argv:
        raise errors.Invalid("there is no command to run")
    with keeper.refusals():
        refuse_unknown(kept.stored.canonical(), (request.service,))
    try:
        return await _session(projects, kept.look, request)
    except errors.Refused:  # perhaps it is only that something has changed since the loop looked
        return await _session(projects, await projects.engine.look(name), request)


async def _session(projects: Projects, look: Look, request: protocol.Exec) -> int:
    chosen = _running(look, request.service, request.number)
    pairs = (each.partition("=") for each in request.environment)
    environment = tuple((key, value) for key, _, value in pairs)
    command = Command(request.argv, environment, request.user, request.working_dir, request.tty)
    try:
        return await projects.engine.session(chosen.uid, command)
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error


async def attach(projects: Projects, name: str, request: protocol.Attach) -> int:
    """A connected socket that speaks engine.process.wire about a container's first process; the caller closes it."""
    kept = projects.known(name)
    with keeper.refusals():
        refuse_unknown(kept.stored.canonical(), (request.service,))
    chosen = _running(await projects.engine.look(name), request.service, request.number)
    try:
        return await projects.engine.attach(chosen.uid)
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error


def _running(look: Look, service: str, number: int) -> ContainerInfo:
    chosen = _chosen(look, service, number)
    if chosen.state is not State.RUNNING:
        raise errors.NotFound(f"{chosen.config.name} is not running", hint="`corral ps -a` shows why")
    if chosen.config.paused:
        raise errors.Refused(f"{chosen.config.name} is paused", hint=f"corral unpause {service}")
    return chosen


def _chosen(look: Look, service: str, number: int) -> ContainerInfo:
    for info in look.containers:
        if (info.config.service, info.config.number) == (service, number):
            return info
    raise errors.NotFound(f"service {service} has no container {number}", hint="`corral ps -a` lists them")


async def copy(projects: Projects, name: str, request: protocol.Copy) -> int:
    """A connected socket that speaks engine.process.wire about a copy to or from a container; the caller closes it."""
    kept = projects.known(name)
    with keeper.refusals():
        refuse_unknown(kept.stored.canonical(), (request.service,))
    if "\0" in request.path:
        raise errors.Invalid("no path has a NUL in it")
    chosen = _chosen(await projects.engine.look(name), request.service, request.number)
    copying = Copying(
        request.path, request.inward, request.follow, request.base, request.is_directory, request.keep_owners
    )
    try:
        return await projects.engine.copy(chosen.uid, copying)
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
