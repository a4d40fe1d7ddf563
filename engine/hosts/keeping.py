"""Keeps this machine's programs able to find the containers of some projects by name: through systemd-resolved where they ask
that, else by blocks in /etc/hosts.

It is a function of what is joined to which network, like the names that containers are answered: written anew when that changes,
and when somebody else has changed it. Until it is told of which projects, it touches nothing.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

import anyio
import anyio.to_thread

from engine import errors
from engine.hosts import file, names, resolved
from engine.types.configs import EndpointConfig, NetworkConfig
from engine.types.infos import MachineNames

log = logging.getLogger(__name__)
REFUSED_S = 5.0
"""So long systemd-resolved is let alone after it could not be told: a link that it has not seen yet it knows soon."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All that is there: networks with their bridges, and what joins them. `port`: of our servers on each gateway."""

    networks: Sequence[tuple[str, NetworkConfig]]
    endpoints: Sequence[EndpointConfig]
    port: int


class Keeping:
    """`look` says what there is at that moment; `path` is the file."""

    def __init__(self, instance: str, look: Callable[[], Joined], path: str = file.PATH) -> None:
        self._instance, self._look, self._path = instance, look, path
        self._lock = anyio.Lock()
        self._wanted: frozenset[str] | None = None
        self._unknown: frozenset[str] = frozenset()
        self._has_nothing = False  # to name, and sees that nothing is named
        self._written: tuple[object, ...] = ()
        self._ours: file.Seen | None = None  # as we left it
        self._told: dict[str, resolved.Link] | None = None  # by bridge; None: what was said before is not known
        self._refused_at = -REFUSED_S
        self._resolvectl = ""  # "": the file it is
        self._problem = ""

    async def want(self, projects: Set[str], unknown: Set[str]) -> None:
        """Name exactly these from now on, and leave what there is of `unknown` ones. Returns when it is so. Raises
        `EngineError`."""
        self._wanted, self._unknown, self._has_nothing = frozenset(projects), frozenset(unknown), False
        await self.put()
        if self._problem:
            raise errors.EngineError(self._problem)

    async def put(self) -> None:
        """See that it is so. What is wrong is not raised, but told by `of`, and tried again: nobody's start depends on it."""
        if self._wanted is None or self._has_nothing:
            return
        async with self._lock:
            problem, wanted = "", self._wanted
            try:
                await self._put(self._look(), wanted)
            except (errors.EngineError, OSError) as error:
                problem = str(error)
            if problem and problem != self._problem:
                log.warning("%s", problem)
            self._problem = problem
            self._has_nothing = not problem and not wanted and wanted == self._wanted

    async def _put(self, joined: Joined, wanted: frozenset[str]) -> None:
        resolvectl = await self._asked(joined, wanted)
        named = () if resolvectl else sorted(wanted)
        blocks = {project: names.lines_of(project, joined.endpoints) for project in named}
        found = file.seen(self._path)
        if self._written != (blocks, self._unknown, found):
            self._written = ()
            unknown = self._unknown
            put = functools.partial(file.put, self._path, self._instance, blocks, unknown, self._ours)
            seen = await anyio.to_thread.run_sync(put)
            self._ours = seen if seen != found else self._ours
            self._written = (blocks, unknown, seen)
        self._resolvectl = resolvectl

    async def _asked(self, joined: Joined, wanted: frozenset[str]) -> str:
        """The program by which systemd-resolved was told; "": it cannot be, or is not asked here."""
        resolvectl = resolved.program() if anyio.current_time() - self._refused_at >= REFUSED_S else ""
        if not resolvectl:
            self._told = None
            return ""
        try:
            await self._tell(resolvectl, joined, {link.bridge: link for link in links_of(joined, wanted)})
        except errors.EngineError as error:
            log.warning("%s; %s it is, for now", error, self._path)
            self._refused_at = anyio.current_time()
            return ""
        return resolvectl

    async def _tell(self, resolvectl: str, joined: Joined, wanted: dict[str, resolved.Link]) -> None:
        before, self._told = self._told, None
        candidates = [bridge for bridge, _ in joined.networks] if before is None else list(before)
        stale = [bridge for bridge in candidates if bridge not in wanted and resolved.has_been_told(bridge)]
        await resolved.revert(resolvectl, stale)
        for bridge, link in wanted.items():
            if before is None or before.get(bridge) != link or not resolved.is_told(link):
                await resolved.tell(resolvectl, link)
        self._told = wanted

    def of(self, project: str) -> MachineNames:
        """How it is, of one project."""
        joined = self._look()
        lines = tuple((line.address, line.names) for line in names.lines_of(project, joined.endpoints))
        if self._wanted is None or project not in self._wanted:
            return MachineNames(lines=lines)
        if self._resolvectl:
            servers = [server for link in links_of(joined, {project}) for server in link.servers]
            return MachineNames("systemd-resolved", " ".join(servers), lines, self._problem)
        return MachineNames("hosts", self._path, lines, self._problem)


def links_of(joined: Joined, wanted: Set[str]) -> Iterable[resolved.Link]:
    """Which bridge leads to which names, of all these projects together."""
    for bridge, network in joined.networks:
        members = [endpoint for endpoint in joined.endpoints if endpoint.network == network.name]
        projects = sorted({endpoint.project for endpoint in members} & wanted)
        if not projects:
            continue
        domains: list[str] = []
        for project in projects:
            domains += names.domains_of(project)
            domains += names.elsewhere(project, names.lines_of(project, members))
        for subnet in (network.subnet, network.subnet6):
            domains += resolved.reverse_zones(subnet) if subnet else ()
        servers = [f"{network.gateway}:{joined.port}"] if network.gateway else []
        servers += [f"[{network.gateway6}]:{joined.port}"] if network.gateway6 else []
        yield resolved.Link(bridge, tuple(servers), tuple(dict.fromkeys(domains)))
