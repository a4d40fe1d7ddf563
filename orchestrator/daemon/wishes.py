"""What commands want by a document: `up`, what `plan` says of it, and `run`.

All that can be known to be wrong is refused before anything is stored or touched, also what somebody else has.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from engine.types.infos import Look
from orchestrator import protocol
from orchestrator.daemon import afterwards, changing, feeds, keeper
from orchestrator.daemon.projects import Projects
from reconciler import claims, forecast, render
from reconciler.actual import ActualState
from reconciler.asking import Orphans
from reconciler.overlay import key_of
from reconciler.stored import Stored

Word = TypeVar("Word", bound=StrEnum)


async def up(projects: Projects, name: str, request: protocol.Up) -> feeds.Feed:
    """Want what the request says. With `attach` the feed goes on after Settled."""
    promised = await _promise(
        projects,
        name,
        lambda kept: afterwards.up(kept, request),
        grace_s=request.timeout_s,
        attach=request.attach,
    )
    for each in promised.kept.stored.orphans(request.files) if request.orphans != Orphans.KEEP else ():
        promised.feed.put(
            protocol.Note(f"service {each} is declared by other files of this project; --remove-orphans removes it")
        )
    timeout_s = request.wait_timeout_s
    changing.settle(projects, *promised, wait=request.wait, timeout_s=timeout_s, attach=request.attach)
    return promised.feed


class Promised(NamedTuple):
    kept: keeper.Keeper
    feed: feeds.Feed
    number: int


async def _promise(
    projects: Projects,
    name: str,
    after: Callable[[keeper.Keeper], Stored],
    *,
    grace_s: float | None = None,
    attach: bool = False,
) -> Promised:
    """Want of a project, new or not, what comes `after` what is stored. What the file asks for and others have is refused."""
    kept = projects.known_or_new(name)
    async with kept.lock:
        kept = projects.known_or_new(name)  # it may have been taken down while we waited
        declared = await kept.declare(after(kept), refuse_taken=True)
        changing.refuse_memory(projects, name, declared)
        kept.save(declared.stored)
        kept.watch.grace_s = grace_s
        feed = kept.follow(containers=attach)
        number = kept.want(declared)
        projects.keep(kept)
    return Promised(kept, feed, number)


async def run(projects: Projects, name: str, request: protocol.Run) -> feeds.Feed:
    """A one-off beside what is wanted, and what it needs."""
    promised = await _promise(projects, name, lambda kept: afterwards.run(kept, request))
    changing.settle(projects, *promised)
    return promised.feed


async def start_run(projects: Projects, name: str, request: protocol.RunStart) -> feeds.Feed:
    """Start a one-off that waits for it."""
    return await changing.change(projects, name, lambda kept: kept.stored.start_run(request.name), takes_memory=True)


async def plan(projects: Projects, name: str, verb: str, request: Any) -> dict[str, Any]:
    """What the command would do, as render.json says it, with `text` beside it. Changes nothing."""
    with_document = verb in afterwards.WITH_A_DOCUMENT
    kept = (projects.known_or_new if with_document else projects.known)(name)
    await kept.watch.look(name)
    with keeper.refusals():
        wanted = afterwards.BY_VERB[verb][1](kept, request)
    declared = await kept.declare(wanted, refuse_taken=with_document)
    changing.refuse_memory(projects, name, declared)
    look, taken = await projects.engine.look(name), await projects.engine.taken(name)
    things = ActualState.of(look, declared.desired, projects.monitor.statuses()).things
    elsewhere = claims.elsewhere(taken, look, name)
    found = forecast.preview(declared.desired, things, now=projects.clock(), elsewhere=elsewhere)
    found = forecast.attributed(found, said_by_commands(kept.stored, wanted, look))
    beside = wanted.overlay.words()
    text = "\n".join((render.text(found), *(f"= {line}" for line in beside)))
    return {**render.json(found), "beside": list(beside), "text": text}


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
