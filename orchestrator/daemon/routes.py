"""Which request does what: the table of protocol.py, and what each needs of it."""

import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from engine.errors import EngineError
from orchestrator import encoding, errors, protocol
from orchestrator.daemon import afterwards, inventory, orders, readings, server, shared, streams, wishes
from orchestrator.daemon.projects import Projects

Order = Callable[[Projects, str, Any], Awaitable[server.Answer]]


async def _up(projects: Projects, name: str, request: protocol.Up) -> server.Answer:
    return server.Stream(await wishes.up(projects, name, request))


async def _plan(projects: Projects, name: str, request: protocol.Up) -> server.Answer:
    return await wishes.plan(projects, name, "up", request)


async def _run(projects: Projects, name: str, request: protocol.Run) -> server.Answer:
    return server.Stream(await wishes.run(projects, name, request))


async def _run_start(projects: Projects, name: str, request: protocol.RunStart) -> server.Answer:
    return server.Stream(await wishes.start_run(projects, name, request))


async def _rm(projects: Projects, name: str, request: protocol.Rm) -> server.Answer:
    return server.Stream(await orders.remove(projects, name, request))


async def _down(projects: Projects, name: str, request: protocol.Down) -> server.Answer:
    return server.Stream(await orders.down(projects, name, request))


async def _stop(projects: Projects, name: str, request: protocol.Stop) -> server.Answer:
    return server.Stream(await orders.stop(projects, name, request))


async def _start(projects: Projects, name: str, request: protocol.Start) -> server.Answer:
    return server.Stream(await orders.start(projects, name, request))


async def _restart(projects: Projects, name: str, request: protocol.Stop) -> server.Answer:
    return server.Stream(await orders.restart(projects, name, request))


async def _pause(projects: Projects, name: str, request: protocol.Chosen) -> server.Answer:
    return server.Stream(await orders.pause(projects, name, request))


async def _unpause(projects: Projects, name: str, request: protocol.Chosen) -> server.Answer:
    return server.Stream(await orders.unpause(projects, name, request))


async def _update(projects: Projects, name: str, request: protocol.Update) -> server.Answer:
    return server.Stream(await orders.update(projects, name, request))


async def _hosts(projects: Projects, name: str, request: protocol.Hosts) -> server.Answer:
    return await orders.hosts(projects, name, request)


async def _kill(projects: Projects, name: str, request: protocol.Kill) -> server.Answer:
    return {"signalled": await orders.kill(projects, name, request)}


async def _exec(projects: Projects, name: str, request: protocol.Exec) -> server.Answer:
    return server.Passed(await streams.session(projects, name, request))


async def _attach(projects: Projects, name: str, request: protocol.Attach) -> server.Answer:
    return server.Passed(await streams.attach(projects, name, request))


async def _copy(projects: Projects, name: str, request: protocol.Copy) -> server.Answer:
    return server.Passed(await streams.copy(projects, name, request))


async def _top(projects: Projects, name: str, request: protocol.Chosen) -> server.Answer:
    return {"containers": await readings.processes(projects, name, request.services)}


async def _stats(projects: Projects, name: str, request: protocol.Chosen) -> server.Answer:
    return {"containers": await readings.usage(projects, name, request.services)}


async def _events(projects: Projects, name: str, request: protocol.Events) -> server.Answer:
    return server.Stream(readings.events(projects, name, request), endless=True)


ORDERS: dict[str, tuple[type[Any], Order]] = {
    "up": (protocol.Up, _up),
    "plan": (protocol.Up, _plan),
    "run": (protocol.Run, _run),
    "run_start": (protocol.RunStart, _run_start),
    "rm": (protocol.Rm, _rm),
    "down": (protocol.Down, _down),
    "stop": (protocol.Stop, _stop),
    "start": (protocol.Start, _start),
    "restart": (protocol.Stop, _restart),
    "pause": (protocol.Chosen, _pause),
    "unpause": (protocol.Chosen, _unpause),
    "update": (protocol.Update, _update),
    "hosts": (protocol.Hosts, _hosts),
    "kill": (protocol.Kill, _kill),
    "exec": (protocol.Exec, _exec),
    "attach": (protocol.Attach, _attach),
    "copy": (protocol.Copy, _copy),
    "top": (protocol.Chosen, _top),
    "stats": (protocol.Chosen, _stats),
    "events": (protocol.Events, _events),
}


Shared = Callable[[Projects, str, Any], Awaitable[dict[str, Any]]]
SHARED: dict[str, tuple[type[Any], Shared]] = {
    "create": (protocol.Make, shared.create),
    "remove": (protocol.Remove, shared.remove),
    "prune": (protocol.Prune, shared.prune),
}


def handler_of(projects: Projects, status: Callable[[], protocol.Status], end: Callable[[], None]) -> server.Handler:
    """The daemon's handler. `end` is called when a client asks the daemon to end."""

    async def handle(request: server.Request) -> server.Answer:
        try:
            return await act(request)
        except EngineError as error:
            raise errors.Refused(str(error)) from error
        except RecursionError:
            raise errors.Invalid("the request is nested too deeply") from None

    async def act(request: server.Request) -> server.Answer:
        words = [urllib.parse.unquote(word) for word in request.path.partition("?")[0].split("/")]
        match request.verb, words:
            case "GET", ["", "v1", "daemon"]:
                answer: dict[str, Any] = encoding.to_json(status())
                return answer
            case "POST", ["", "v1", "daemon", "stop"]:
                end()
                return {"projects": projects.overview()}
            case "GET", ["", "v1", "projects"]:
                return {"projects": projects.overview(), "damage": projects.damage()}
            case "GET", ["", "v1", "networks"]:
                return {"networks": await inventory.networks(projects)}
            case "GET", ["", "v1", "volumes"]:
                return {"volumes": await inventory.volumes(projects)}
            case "POST", ["", "v1", "networks", ("connect" | "disconnect") as verb]:
                joining = encoding.parse(protocol.Connect, request.body)
                network = await inventory.network_named(projects, joining.network, joining.project)
                act_on = orders.connect if verb == "connect" else orders.disconnect
                return server.Stream(await act_on(projects, network, joining))
            case "POST", ["", "v1", ("networks" | "volumes") as section, verb] if verb in SHARED:
                form, shared_act = SHARED[verb]
                return await shared_act(projects, section, encoding.parse(form, request.body))
            case "GET", ["", "v1", "projects", name, "containers"]:
                return {"containers": await orders.rows(projects, name), "damage": projects.words_of_damage(name)}
            case "GET", ["", "v1", "projects", name, "hosts"]:
                return orders.machine_names(projects, name)
            case "GET", ["", "v1", "projects", name, "logs"]:
                return dict(encoding.to_json(await orders.containers(projects, name)))
            case "POST", ["", "v1", "projects", name, "logs", "follow"]:
                return server.Stream(await orders.listen(projects, name), endless=True)
            case "POST", ["", "v1", "projects", name, "plan", verb] if verb in afterwards.BY_VERB:
                return await wishes.plan(
                    projects, name, verb, encoding.parse(afterwards.BY_VERB[verb][0], request.body)
                )
            case "POST", ["", "v1", "projects", name, verb] if verb in ORDERS:
                kind, order = ORDERS[verb]
                return await order(projects, name, encoding.parse(kind, request.body))
        raise errors.NotFound(f"nothing is at {request.verb} {request.path}")

    return handle
