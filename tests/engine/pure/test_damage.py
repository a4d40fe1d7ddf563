"""Whose a damaged thing is."""

from engine.records import damage
from engine.types.configs import ContainerConfig
from engine.types.parts import VolumeMount


def container(project: str, service: str, *volumes: str) -> ContainerConfig:
    mounts = tuple(VolumeMount(volume, "/data") for volume in volumes)
    return ContainerConfig(f"{project}-{service}-1", project, service, 1, service, service, "host", mounts=mounts)


def test_a_volume_is_of_the_project_that_mounts_it_whatever_its_other_containers_do() -> None:
    """A record that names another project holds up that one only where nobody has the volume."""
    containers = [container("p", "web", "p_data"), container("p", "db"), container("theirs", "web", "theirs_data")]
    assert damage.holders(containers, "p_data") == {"p"}
    assert damage.holders(reversed(containers), "p_data") == {"p"}
    assert damage.holders(containers, "theirs_data") == {"theirs"}
    assert damage.holders(containers, "nobodys") == set()
