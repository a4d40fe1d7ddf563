"""Services that are no containers: programs of this machine make them, with the rights of who runs the command.

    TYPE compose --project-name=PROJECT up --OPTION=VALUE … SERVICE

TYPE is a plugin of docker's command line, or a program in PATH. It says how far it is, and variables for the services that depend
on it (docker/compose docs/extension.md). So it is asked before the daemon is: with each `up`, `create` and `run`, and again after
`stop` and `down`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from orchestrator.command_line import provider_program
    from specs import loader

SIGNS = (b"provider", b"include", b"extends")
"""A file without any of these words has no provider."""


def look(called: invocation.Invocation) -> "loader.Loaded | None":
    """The files, if they are there and have a provider: what runs can be taken down without any. Where they cannot be read and
    may have one, the user is told."""
    try:
        files = called.files()
        if "-" in called.options.file or not any(sign in _content(path) for path in files for sign in SIGNS):
            return None
    except (errors.OrchestratorError, OSError):
        return None
    try:
        loaded = called.load(any_image=True)
    except errors.OrchestratorError:
        called.note("the files cannot be read: if they have providers, these are not told")
        return None
    return loaded if loaded.providers else None


def without_them(services: Iterable[str], loaded: "loader.Loaded | None") -> tuple[str, ...]:
    """Of services that the user named, those that are containers."""
    names = {each.name for each in loaded.providers} if loaded is not None else set()
    return tuple(name for name in services if name not in names)


def are_all(services: Iterable[str], loaded: "loader.Loaded | None") -> bool:
    """Whether the user named some, and no container."""
    named = tuple(services)
    return bool(named) and not without_them(named, loaded)


def up(
    called: invocation.Invocation, loaded: "loader.Loaded", services: Iterable[str], *, no_deps: bool = False
) -> "loader.Loaded":
    """With what all providers say that these services, none: all, need. Raises OrchestratorError."""
    if not loaded.providers:
        return loaded
    from orchestrator.command_line import provider_program

    asked, canonical = _asked(called, loaded), loaded.canonical
    wanted = _needed(loaded, tuple(services), no_deps=no_deps)
    for provider in loaded.providers:
        if provider.name in wanted:
            said = provider_program.run(asked, provider, "up")
            canonical = with_variables(canonical, provider.name, said, called.note)
    return loaded._replace(canonical=canonical)


def end(called: invocation.Invocation, loaded: "loader.Loaded | None", verb: str, services: Iterable[str] = ()) -> None:
    """`stop` or `down`, after the containers. `services`: (): all. Who says nothing of stopping is not stopped. Raises
    OrchestratorError."""
    if loaded is None:
        return
    from orchestrator.command_line import provider_program

    named, asked = {*services} or {each.name for each in loaded.providers}, _asked(called, loaded)
    for provider in reversed(loaded.providers):
        if provider.name in named:
            provider_program.run(asked, provider, verb)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _needed(loaded: "loader.Loaded", services: tuple[str, ...], *, no_deps: bool) -> set[str]:
    by_name = {each.name: each for each in loaded.providers}
    if not services:
        return {*by_name}
    containers = without_them(services, loaded)
    found = {*services} & {*by_name}
    if not no_deps:
        from reconciler import asking

        for name in asking.with_needed(loaded.canonical, containers, no_deps=False) if containers else ():
            found |= {*loaded.canonical["services"][name].get("providers", ())}
        for each in reversed(loaded.providers):  # who is needed stands before
            found |= {*each.needs} if each.name in found else set()
    return found


def with_variables(
    canonical: Mapping[str, Any], provider: str, said: "provider_program.Said", note: Callable[[str], None]
) -> dict[str, Any]:
    """The document where the services that depend on the provider have its variables."""
    prefix = f"{provider.upper()}_"
    given = {**{f"{prefix}{key}": value for key, value in said.prefixed.items()}, **said.raw}

    def filled(name: str, service: Mapping[str, Any]) -> Mapping[str, Any]:
        if provider not in service.get("providers", ()):
            return service
        for key in said.raw:
            if service.get("environment", {}).get(key, said.raw[key]) != said.raw[key]:
                note(f"service {name}: {key} of its environment is what the provider {provider} says")

        def with_given(body: Mapping[str, Any]) -> Mapping[str, Any]:
            provided = {*body.get("provided", ()), *given}
            return {**body, "environment": {**body.get("environment", {}), **given}, "provided": sorted(provided)}

        from specs.model import bodies

        return bodies.changed(service, with_given)

    return {**canonical, "services": {name: filled(name, each) for name, each in canonical["services"].items()}}


def _asked(called: invocation.Invocation, loaded: "loader.Loaded") -> "provider_program.Asked":
    from orchestrator.command_line import provider_program

    def config(name: str) -> Mapping[str, Any]:
        from specs.normal import document

        service: Mapping[str, Any] = document.of(called.prepare()).document["services"][name]
        return service

    return provider_program.Asked(called.note, loaded.project_name, loaded.variables, config)
