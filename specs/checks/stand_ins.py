"""Networks that are none: one of the driver host or none, or the external one of that name. Who joins it has that network mode
(compose-spec 06-networks.md, driver)."""

from collections.abc import Iterator

from specs.errors import SpecError
from specs.model.project import Project
from specs.model.service import Service

_SAID = frozenset({"name", "driver", "external", "attachable", "labels"})


def problems(project: Project) -> Iterator[SpecError]:
    """Every such network that is asked for more than there is."""
    for key, network in project.networks.items():
        given_here = network.model_fields_set - _SAID if network.stands_for else frozenset()
        for word in sorted(given_here):
            yield SpecError(("networks", key, word), f"means nothing to the network {network.stands_for}")
    for body in project.bodies():
        service = body.service
        for key, mode in _modes(project, service).items():
            where = (*body.path, "networks", key)
            if len(service.networks) > 1:
                yield SpecError(where, f"who has the network {mode} can be in no other")
            elif given := service.networks[key].model_fields_set:
                yield SpecError((*where, sorted(given)[0]), f"means nothing to the network {mode}")


def resolved(project: Project) -> Project:
    """The project in which each service that joins one has its network mode instead. Nothing is mapped then."""
    services = {name: _resolved(project, service) for name, service in project.services.items()}
    if all(services[name] is service for name, service in project.services.items()):
        return project
    return project.model_copy(update={"services": services})


def _resolved(project: Project, service: Service) -> Service:
    for mode in _modes(project, service).values():
        service = service.model_copy(update={"network_mode": mode, "networks": {}, "ports": ()})
    replicas = {number: _resolved(project, replica) for number, replica in service.replicas.items()}
    if all(replicas[number] is replica for number, replica in service.replicas.items()):
        return service
    return service.model_copy(update={"replicas": replicas})


def _modes(project: Project, service: Service) -> dict[str, str]:
    found = {key: project.networks[key].stands_for for key in service.networks if key in project.networks}
    return {key: mode for key, mode in found.items() if mode is not None}
