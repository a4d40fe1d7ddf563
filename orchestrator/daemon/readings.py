"""What commands read of containers besides their state: their processes, what they use, what happened. Changes nothing."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from engine import errors as engine_errors
from engine.types.infos import ContainerInfo, State
from orchestrator import errors, protocol
from orchestrator.daemon import feeds, keeper, records
from orchestrator.daemon.projects import Projects
from reconciler.asking import refuse_unknown


async def processes(projects: Projects, name: str, services: Iterable[str]) -> list[dict[str, Any]]:
    """One row a running container of these services (none named: of all), by name, with its `processes`."""
    rows = []
    for info in await running(projects, name, services):
        try:
            found = await projects.engine.processes(info.uid)
        except engine_errors.Superseded:
            continue  # it has gone since we looked
        except engine_errors.EngineError as error:
            raise errors.Refused(str(error)) from error
        rows.append({**words_of(info), "processes": [asdict(each) for each in found]})
    return rows


async def usage(projects: Projects, name: str, services: Iterable[str]) -> list[dict[str, Any]]:
    """One row a running container of these services (none named: of all), by name, with the fields of infos.Usage."""
    those = await running(projects, name, services)
    try:
        found = {each.uid: each for each in await projects.engine.usage(name)}
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error
    return [{**words_of(info), **asdict(found[info.uid])} for info in those if info.uid in found]


def events(projects: Projects, name: str, request: protocol.Events) -> feeds.Feed:
    """What happens to the project, for as long as somebody listens; it need not be up."""
    records.check_name(name)
    feed = projects.chronicles.of(name).listen(request.since)
    if request.until is not None and request.until <= projects.clock():
        feed.end(protocol.Settled(0))
    return feed


async def running(projects: Projects, name: str, services: Iterable[str]) -> list[ContainerInfo]:
    """The containers of these services that run, by name. Raises NotFound, and Invalid for a service nobody declared."""
    kept, named = projects.known(name), frozenset(services)
    with keeper.refusals():
        refuse_unknown(kept.stored.wanted(), sorted(named))
    look = await projects.engine.look(name)
    found = [
        info for info in look.containers if info.state is State.RUNNING and (not named or info.config.service in named)
    ]
    return sorted(found, key=lambda info: info.config.name)


def words_of(info: ContainerInfo) -> dict[str, Any]:
    """Which container it is."""
    config = info.config
    return {"uid": info.uid, "name": config.name, "service": config.service, "number": config.number}
