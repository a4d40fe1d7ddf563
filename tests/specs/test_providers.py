"""`provider`: services that programs make, and what is left of a document without them."""

from typing import Any

import pytest

from reconciler import asking
from specs import errors
from specs.canonical.providers import Provider

FILE = """
services:
  web: {image: host, depends_on: [db, cache, queue]}
  queue: {image: host, depends_on: [web2]}
  web2: {image: host, network_mode: none}
  db: {provider: {type: cloud, options: {size: 256, zone: [a, b], none: []}}, depends_on: [cache]}
  cache: {provider: {type: cloud}, image: of-nobody, ports: ["80"]}
  idle: {provider: {type: cloud}, profiles: [later]}
"""


@pytest.mark.key("services.provider", "services.provider.options")
def test_they_are_no_services_and_who_depends_on_them_says_so(folder: Any) -> None:
    found = folder.load(FILE)
    assert [(each.name, each.type, dict(each.options), each.needs) for each in found.providers] == [
        ("cache", "cloud", {}, ()),
        ("db", "cloud", {"size": ("256",), "zone": ("a", "b"), "none": ()}, ("cache",)),
    ]
    assert isinstance(found.providers[0], Provider)
    assert [*found.canonical["services"]] == ["web", "queue", "web2"]
    web = found.canonical["services"]["web"]
    assert web["providers"] == ["db", "cache"]
    assert [*web["depends_on"]] == ["queue"]
    assert "providers" not in found.canonical["services"]["queue"]
    assert folder.project(FILE).services["web"].providers == ("db", "cache")
    assert [note.partition("services.")[2] for note in found.notes] == [
        "cache.image: means nothing beside a provider, to Compose either",
        "cache.ports: means nothing beside a provider, to Compose either",
    ]


def test_one_that_needs_a_container_is_asked_before_it_all_the_same(folder: Any) -> None:
    found = folder.load("services: {a: {image: host}, b: {provider: {type: p}, depends_on: [a]}}")
    assert [each.needs for each in found.providers] == [()]
    assert "providers are asked before any container starts" in found.notes[0]


def test_a_project_of_providers_only_has_no_network(folder: Any) -> None:
    assert folder.load("services: {b: {provider: {type: p}}}").canonical["networks"] == {}


@pytest.mark.parametrize("other", ["provider: {type: p}", "image: host"])
def test_rings_of_them_are_refused(folder: Any, other: str) -> None:
    with pytest.raises(errors.SpecErrors, match="a cycle: a → b → a"):
        folder.load(
            f"services: {{a: {{provider: {{type: p}}, depends_on: [b]}}, b: {{{other}, depends_on: [c, a]}}, c: {{image: host}}}}"
        )


def test_what_a_provider_said_stays_until_it_says_something_else() -> None:
    service = {"environment": {"OWN": "1"}, "providers": ["db"]}
    filled = {**service, "environment": {"OWN": "0", "DB_URL": "u"}, "provided": ["DB_URL"]}
    before = {"services": {"web": filled, "gone": filled}}
    found = asking.provided_as_before({"services": {"web": service, "new": service}}, before)["services"]
    assert found["web"] == {**service, "environment": {"OWN": "1", "DB_URL": "u"}, "provided": ["DB_URL"]}
    assert found["new"] == service
    again = {**service, "environment": {"DB_URL": "v"}, "provided": ["DB_URL"]}
    assert asking.provided_as_before({"services": {"web": again}}, before)["services"]["web"] == again
    assert asking.provided_as_before({"services": {"web": {}}}, before)["services"]["web"] == {}
