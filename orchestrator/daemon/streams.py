"""Connected sockets that reach into containers: commands, a first process's own streams, copies. The daemon passes them on."""

from dataclasses import replace

from engine import errors as engine_errors
from engine.api import Command, Copying
from engine.types.infos import ContainerInfo, Look, State
from orchestrator import errors, protocol
from orchestrator.daemon import keeper
from orchestrator.daemon.projects import Projects
from reconciler.asking import refuse_unknown


async def session(projects: Projects, name: str, request: protocol.Exec) -> int:
    """A connected socket that speaks engine.process.wire with a new command in a container; the caller closes it."""
    kept = projects.known(name)
    if not request.argv:
        raise errors.Invalid("there is no command to run")
    with keeper.refusals():
        refuse_unknown(kept.stored.wanted(), (request.service,))
    try:
        return await _session(projects, kept.look, request)
    except errors.Refused:  # perhaps it is only that something has changed since the loop looked
        return await _session(projects, await projects.engine.look(name), request)


async def _session(projects: Projects, look: Look, request: protocol.Exec) -> int:
    chosen = _running(look, request.service, request.number)
    pairs = (each.partition("=") for each in request.environment)
    environment = tuple((key, value) for key, _, value in pairs)
    command = Command(request.argv, environment, request.user, request.working_dir, request.tty)
    command = replace(command, detached=request.detached, privileged=request.privileged)
    try:
        return await projects.engine.session(chosen.uid, command)
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error


async def attach(projects: Projects, name: str, request: protocol.Attach) -> int:
    """A connected socket that speaks engine.process.wire about a container's first process; the caller closes it."""
    kept = projects.known(name)
    with keeper.refusals():
        refuse_unknown(kept.stored.wanted(), (request.service,))
    choose = _chosen if request.to_next else _running
    chosen = choose(await projects.engine.look(name), request.service, request.number)
    if not chosen.whole:
        raise errors.NotFound(f"{chosen.config.name} is not made yet")
    try:
        return await projects.engine.attach(chosen.uid, to_next=request.to_next)
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
        refuse_unknown(kept.stored.wanted(), (request.service,))
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
