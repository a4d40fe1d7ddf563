"""A change of what is stored of a project: declared, kept, wanted, and how it ends told in a feed."""

import logging
from collections.abc import Callable

import anyio

from engine import errors as engine_errors
from orchestrator import errors, protocol
from orchestrator.daemon import feeds, keeper
from orchestrator.daemon.projects import Projects
from reconciler import memory
from reconciler.declaration import Declaration
from reconciler.resource import Verb
from reconciler.stored import Stored

log = logging.getLogger(__name__)


def refuse_memory(projects: Projects, name: str, declared: Declaration) -> None:
    """Raises Invalid where more memory is to be guaranteed than is there. Nothing may come between this and its being wanted."""
    others = (kept for kept in projects.keepers() if kept.name != name)
    guaranteed = [kept for kept in others if memory.is_guaranteed(kept.stored.canonical())]
    theirs = [(kept.name, memory.total_bytes(kept.loop.desired)) for kept in guaranteed]
    with keeper.refusals():
        memory.refuse(declared.project, declared.desired, projects.engine.memory_bytes(), theirs)


Change = Callable[[keeper.Keeper], Stored]


async def change(
    projects: Projects,
    name: str,
    made: Change,
    *,
    grace_s: float | None = None,
    then: Change | None = None,
    wait: bool = False,
    timeout_s: float | None = None,
    revive: bool = False,
    takes_memory: bool = False,
) -> feeds.Feed:
    """`then`: what is wanted once that has settled, of what is stored now. `revive`: a project that is not up will do; it may
    have left something. `takes_memory`: more of it may be wanted then."""
    find = projects.known_or_new if revive else projects.known
    kept = find(name)
    async with kept.lock:
        kept = find(name)
        with keeper.refusals():
            stored = made(kept)
            after = then(kept) if then else None
        declared = await kept.declare(stored)
        last = await kept.declare(after) if after else declared
        if takes_memory:
            refuse_memory(projects, name, last)
        kept.save(after or declared.stored)
        kept.watch.grace_s = grace_s
        feed = kept.follow()
        number = kept.want(declared)
        projects.keep(kept)
    settle(projects, kept, feed, number, wait=wait, timeout_s=timeout_s, then=after)
    return feed


# ------------------------------------------------------------------------------------------------------- how it ends


def settle(
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
