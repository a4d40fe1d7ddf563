"""What should exist of one project: a directed graph of resource ids, each edge pointing at what is needed first.

What is not wanted any more, but may not be gone, is kept with the edges it had when it was last wanted (`leaving`):
the order of going down follows these."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import networkx

from reconciler.errors import Conflict, Ring
from reconciler.resource import Edge, Resource

Graph = networkx.DiGraph


@dataclass(frozen=True)
class DesiredState:
    """Immutable. `of` makes the first one; `then` makes the next, which remembers the edges of what leaves."""

    project: str = ""
    wanted: Mapping[str, Resource] = field(default_factory=dict)
    leaving: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, project: str, resources: Iterable[Resource], leaving: Mapping[str, tuple[Edge, ...]] | None = None
    ) -> "DesiredState":
        """Raises Ring where resources wait for each other, Conflict where two have one id."""
        wanted: dict[str, Resource] = {}
        for resource in resources:
            if resource.id in wanted:
                raise Conflict(f"{resource.id} is declared twice", hint="rename one of the services")
            wanted[resource.id] = resource
        desired = cls(
            project,
            wanted,
            {resource_id: edges for resource_id, edges in (leaving or {}).items() if resource_id not in wanted},
        )
        desired.refuse_rings()
        return desired

    def then(self, resources: Iterable[Resource], known: Container[str] | None = None) -> "DesiredState":
        """The next one. `known`: the ids that still exist; the edges of others are forgotten (None: remember all)."""
        return DesiredState.of(self.project, resources, self.edges_to_remember(known))

    def edges_to_remember(self, known: Container[str] | None = None) -> dict[str, tuple[Edge, ...]]:
        """The last edges of all that is, or was, wanted."""
        before = {**self.leaving, **{resource_id: want.edges for resource_id, want in self.wanted.items()}}
        return {resource_id: edges for resource_id, edges in before.items() if known is None or resource_id in known}

    @cached_property
    def graph(self) -> Graph:
        """Edges point from who needs to what is needed."""
        graph = Graph()
        graph.add_nodes_from(self.wanted)
        for resource_id, want in self.wanted.items():
            graph.add_edges_from((resource_id, edge.to) for edge in want.edges)
        return graph

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All wanted ids, what is needed before who needs it, else by name."""
        first = networkx.lexicographical_topological_sort(self.graph.reverse(copy=False))
        return tuple(resource_id for resource_id in first if resource_id in self.wanted)

    def refuse_rings(self) -> None:
        if networkx.is_directed_acyclic_graph(self.graph):  # type: ignore[no-untyped-call]
            return
        ring = [edge[0] for edge in networkx.find_cycle(self.graph)]
        start = ring.index(min(ring))
        ring = [*ring[start:], *ring[:start]]
        raise Ring(f"these wait for each other: {' -> '.join([*ring, ring[0]])}")
