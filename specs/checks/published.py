"""Whether host ports are given to one service only."""

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from specs.composing import ports
from specs.errors import Path, SpecError, dotted
from specs.model.project import Project
from specs.model.service import Port

_ANY = ("0.0.0.0", "::")


class _Claim(NamedTuple):
    """One host port, out of a range."""

    path: Path
    host_ip: str
    protocol: str
    first: int
    last: int


def problems(project: Project) -> Iterator[SpecError]:
    """Every host port that two want, or that is none."""
    claims: list[_Claim] = []
    for _, service, where, number in project.bodies():
        replicas = 1 if service.scale is None or number else service.scale
        for index, port in enumerate(service.ports):
            path = (*where, "ports", index)
            wrong = _problem(port)
            if wrong:
                yield SpecError(path, wrong)
            elif (available := port.published_range()) is not None:
                wanted = min(replicas, available[1] - available[0] + 1)
                claims += [_Claim(path, port.host_ip, port.protocol, *available)] * wanted
    yield from _collisions(claims)


def _collisions(claims: list[_Claim]) -> Iterator[SpecError]:
    """Give each claim a port of its range, in the order in which the ranges end; those that get none collide.

    The smallest free port is the right one: who comes later ends later, and can use every port that this one could.
    """
    taken: dict[tuple[int, str], list[_Claim]] = {}
    reported: set[Path] = set()
    for claim in sorted(claims, key=lambda claim: (claim.last, -claim.first)):
        rival: _Claim | None = None
        for number in range(claim.first, claim.last + 1):
            owners = taken.setdefault((number, claim.protocol), [])
            owner = next((other for other in owners if _same_address(claim.host_ip, other.host_ip)), None)
            if owner is None:
                owners.append(claim)
                break
            rival = rival or owner
        else:
            if rival is not None and claim.path not in reported:
                reported.add(claim.path)
                yield SpecError(claim.path, _message(claim, rival))


def _problem(port: Port) -> str:
    if not 0 < port.target < 65536:
        return f"container port {port.target} is not between 1 and 65535"
    try:
        ports.check_published(port.published)
        if port.host_ip:
            ports.check_address(port.host_ip)
    except ValueError as error:
        return str(error)
    return ""


def _same_address(one: str, other: str) -> bool:
    """ "" is every address of both families."""
    if not one or not other:
        return True
    if (":" in one) != (":" in other):
        return False
    return one in _ANY or other in _ANY or ipaddress.ip_address(one) == ipaddress.ip_address(other)


def _message(claim: _Claim, other: _Claim) -> str:
    port = str(claim.first) if claim.first == claim.last else f"{claim.first}-{claim.last}"
    theirs = other.path[:-2]
    whose = "this service" if claim.path[:-2] == theirs else dotted(theirs)
    return f"host port {port}/{claim.protocol} is taken already, by ports[{other.path[-1]}] of {whose}"
