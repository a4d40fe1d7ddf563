"""What an `up` asks for of a document: which services, what is said of them from then on, and which are made anew."""

from collections.abc import Iterable, Mapping, Set
from enum import StrEnum
from typing import Any

from reconciler.errors import DeclareError
from specs.canonical import namespaces
from specs.model import bodies

Json = Mapping[str, Any]

SECTIONS = ("services", "networks", "volumes", "configs", "secrets")


class Recreate(StrEnum):
    """Which containers an `up` makes anew: those that differ, none, those of the services that it names, those of what these
    need, or both."""

    CHANGED = "changed"
    NEVER = "never"
    NAMED = "named"
    NEEDED = "needed"
    ALL = "all"


class Orphans(StrEnum):
    """What becomes of services that the document of an `up` does not have: those that its files said before go, those of other
    files stay; or all go; or all stay."""

    OURS = "ours"
    REMOVE = "remove"
    KEEP = "keep"


def made_anew(recreate: Recreate, asked: Iterable[str], named: tuple[str, ...]) -> tuple[str, ...]:
    """Of the services asked for, those that get new containers in any case. `named`: (): all."""
    asked = tuple(asked)
    named = named or asked
    match recreate:
        case Recreate.NAMED:
            return named
        case Recreate.NEEDED:
            return tuple(name for name in asked if name not in named)
        case Recreate.ALL:
            return asked
    return ()


def staying(canonical: Json, inactive: Iterable[str], orphans: Orphans, *, is_whole: bool) -> frozenset[str] | None:
    """Which services stay as they were last said by the same files, of those that are not asked for; None: all. `is_whole`: all
    of the document is."""
    if orphans is Orphans.KEEP or (orphans is Orphans.OURS and not is_whole):
        return None
    return frozenset(inactive) | frozenset(() if is_whole else canonical.get("services", {}))


def said(
    before: tuple[Json, ...],
    canonical: Json,
    asked: Iterable[str],
    *,
    stays: Set[str] | None = None,
    as_it_is: bool = False,
) -> dict[str, Any]:
    """What a file set says from now on: of the services `asked` what `canonical` says, of others what it said `before`, as far as
    they are to stay (None: all). `as_it_is`: what was said before counts for those `asked`, too, but how many there are."""
    had = {name: body for old in before for name, body in old.get("services", {}).items()}
    kept = {name: body for name, body in had.items() if stays is None or name in stays}
    new = {name: canonical["services"][name] for name in asked}
    if as_it_is:
        new |= {name: counted(had[name], body) for name, body in new.items() if name in had}
    services = {**kept, **new}
    unsaid = (canonical["services"].keys() | had.keys()) - services.keys()
    found = dict(canonical)
    for section in SECTIONS[1:] if kept or as_it_is else ():
        old = {key: value for each in before for key, value in each.get(section, {}).items()}
        now = canonical.get(section, {})
        found[section] = {**now, **old} if as_it_is else {**old, **now}
    return {**found, "services": {name: without_needing(body, unsaid) for name, body in services.items()}}


def provided_as_before(canonical: Json, before: Json) -> Json:
    """The document where services that depend on providers have what these said before, if they did not say anything now."""
    had = before.get("services", {})

    def filled(name: str, service: Json) -> Json:
        old = had.get(name, {})
        if not service.get("providers") or "provided" in service or not old.get("provided"):
            return service
        given = {key: old["environment"][key] for key in old["provided"] if key in old.get("environment", {})}

        def with_given(body: Json) -> Json:
            return {**body, "environment": {**body.get("environment", {}), **given}, "provided": [*given]}

        return bodies.changed(service, with_given)

    return {**canonical, "services": {name: filled(name, each) for name, each in canonical["services"].items()}}


def without(canonical: Json, gone: Set[str]) -> dict[str, Any]:
    """The document without these services."""
    kept = {name: body for name, body in canonical.get("services", {}).items() if name not in gone}
    return {**canonical, "services": {name: without_needing(body, gone) for name, body in kept.items()}}


def without_restarts(canonical: Json) -> dict[str, Any]:
    """The document where nothing stops because something that it depends on does."""
    services = canonical.get("services", {})
    loose = {
        name: {**body, "depends_on": {other: {**how, "restart": False} for other, how in body["depends_on"].items()}}
        for name, body in services.items()
        if body.get("depends_on")
    }
    return {**canonical, "services": {**services, **loose}}


def counted(had: Json, now: Json) -> Json:
    """The service as it was, as many times as it is wanted now, where that does not give its containers other names."""
    return {**had, "scale": now["scale"]} if "scale" in had and "scale" in now and "replicas" not in had else had


def refuse_unknown(canonical: Json, services: Iterable[str]) -> None:
    """Raises DeclareError for a service that is not declared."""
    known = canonical.get("services", {})
    for name in services:
        if name not in known:
            raise DeclareError(f"no such service: {name}", hint=f"there are {', '.join(known) or 'no services'}")


def with_needed(canonical: Json, services: Iterable[str], *, no_deps: bool) -> tuple[str, ...]:
    """These services and, unless `no_deps`, all that they need (depends_on, links, volumes_from), in the order of
    the file."""
    known = canonical.get("services", {})
    asked, more = set(), set(services)
    while more:
        asked |= more
        more = set() if no_deps else {name for one in more for name in _needed(known[one]) if name in known} - asked
    return tuple(name for name in known if name in asked)


def _needed(service: Json) -> set[str]:
    linked = (text.partition(":")[0] for text in (*service.get("links", ()), *service.get("volumes_from", ())))
    shared = {namespaces.service_of(service.get(key)) for key in namespaces.KEYS} - {""}
    return {*service.get("depends_on", {}), *linked, *shared}


def without_needing(service: Json, unsaid: Set[str]) -> Json:
    """The service, not waiting for any of these: they are in the file, but nobody asked for them."""

    def without(body: Json) -> Json:
        if unsaid.isdisjoint(_needed(body)):
            return body
        depends_on = {name: how for name, how in body.get("depends_on", {}).items() if name not in unsaid}
        links = [text for text in body.get("links", ()) if text.partition(":")[0] not in unsaid]
        return {**body, "depends_on": depends_on, "links": links}

    return bodies.changed(service, without)
