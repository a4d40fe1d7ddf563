"""A volume. Its data is sacred: no plan removes it unless the user said so in that very command (PURGED), and one
that differs is never replaced; containers do not start on it."""

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import replace

from engine.types.configs import Config, VolumeConfig
from engine.types.infos import Look, VolumeInfo
from engine.types.parts import Backing
from reconciler import difference, kind, volume_leases
from reconciler.difference import Word
from reconciler.errors import Conflict
from reconciler.kind import Things
from reconciler.resource import Blocked, Claim, Depth, Difference, Met, Needs, Observed, Resource, Step, Verb
from reconciler.wish import Wish
from specs.canonical import volume_options
from specs.model.volume import Volume

name = "volume"

WORDS = {
    "key": Word("key", live=True),
    "labels": Word("labels", live=True, members=True),
}
WAY_OUT = "remove it with its data (`corral down -v`), give it another name, or take the change back"


def id_of(key: str) -> str:
    return f"volume:{key}"


def declare(wish: Wish) -> Iterator[Resource]:
    called = {}
    for source, number in sorted(wanted_of(wish)):
        volume = wish.project.volumes[source]
        key, labels = key_for(source, volume, number), tuple(sorted(volume.labels.items()))
        called[id_of(key)] = volume.name_for(number)
        config = VolumeConfig(volume.name_for(number), wish.project.name, key, labels, backing_of(source, volume))
        yield Resource(id_of(key), config, external=volume.external)
    for config in anonymous(wish):
        called[id_of(config.key)] = config.name
        yield Resource(id_of(config.key), config)
    names = set(called.values())
    for config in wish.purged:
        if config.name not in names:
            resource_id = id_beside(config, called)
            called[resource_id] = config.name
            yield Resource(resource_id, config, depth=Depth.PURGED)


def id_beside(config: VolumeConfig, others: Container[str]) -> str:
    """Of a volume of the project's: where the id of its key is another's, as after an edit of `name`, it has one of its own."""
    resource_id = id_of(config.key)
    return f"{resource_id}/{config.name}" if resource_id in others else resource_id


def wanted_of(wish: Wish) -> set[tuple[str, int]]:
    """The keys of the file's volumes, each with the numbers of the replicas that have one for themselves; else with 0."""
    mounted = {
        (mount.source, slot.number)
        for slot, service in wish.members()
        for mount in service.volumes
        if mount.type == "volume" and mount.source
    }
    volumes = wish.project.volumes
    unused = {(key, 0) for key, volume in volumes.items() if wish.also_unused and not volume.of_each_replica}
    return unused | {(key, number if volumes[key].of_each_replica else 0) for key, number in mounted if key in volumes}


def key_for(key: str, volume: Volume, number: int) -> str:
    """What the volume of the replica with this number is called in its project."""
    return f"{key}-{number}" if volume.of_each_replica else key


def backing_of(key: str, volume: Volume) -> Backing:
    try:
        options = volume_options.parse(volume.driver_opts)
    except ValueError as error:  # a document that no loader has seen
        raise Conflict(str(error), ("volumes", key, "driver_opts")) from error
    return Backing(options.type, options.device, options.options)


def anonymous(wish: Wish) -> Iterator[VolumeConfig]:
    """The volumes that have no name in the file: each container has its own, and so has its successor."""
    for slot, service in wish.members():
        for mount in service.volumes:
            if mount.type == "volume" and not mount.source:
                name = wish.leases.volumes[volume_leases.volume_key(slot, mount.target)]
                labels = tuple(sorted(mount.volume.labels.items()))
                yield VolumeConfig(name, wish.project.name, key_of(wish, name), labels)


def key_of(wish: Wish, name: str) -> str:
    """What an anonymous volume is called in its project."""
    return name.removeprefix(f"{wish.project.name}_")


def keys_of(wish: Wish, numbers: Collection[int]) -> dict[str, str]:
    """The key of every volume that replicas with these numbers may have, by full name."""
    named = {
        volume.name_for(number): key_for(key, volume, number)
        for key, volume in wish.project.volumes.items()
        for number in numbers
    }
    return {name: key_of(wish, name) for name in wish.leases.volumes.values()} | named


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    ids = {
        want.config.name: resource_id for resource_id, want in wanted.items() if isinstance(want.config, VolumeConfig)
    }
    for info in look.volumes:
        if info.config.name in ids or info.config.project == project:
            yield Observed(ids.get(info.config.name) or id_beside(info.config, wanted), info)


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    assert isinstance(have.config, VolumeConfig)
    assert isinstance(want.config, VolumeConfig)
    if have.config.project != want.config.project:
        whose = f"volume {have.config.name} is of project {have.config.project}: say `external: true` to use it"
        return Difference(replace=(whose,))
    if have.config.backing != want.config.backing:
        change = f"driver_opts {shown(have.config.backing)} -> {shown(want.config.backing)}"
        return Difference(replace=(f"{change}: another volume ({WAY_OUT})",))
    return difference.between(have.config, want.config, WORDS)


def shown(backing: Backing) -> str:
    words = [backing.kind, backing.device, ",".join(backing.options)]
    return " ".join(filter(None, words)) or "none"


def step_up(want: Resource, have: Observed | None, now: float) -> Step | Blocked | None:
    if have is None and want.external:
        assert isinstance(want.config, VolumeConfig)
        return kind.nobody_made_it(want, f"volume {want.config.name}")
    return kind.made_and_finished(want, have)


def step_down(have: Observed, depth: Depth) -> Step | None:
    return kind.remove(have) if depth is Depth.PURGED else None


def claims(config: Config) -> tuple[Claim, ...]:
    return ()


def release(want: Resource, have: Observed) -> Step | None:
    return None


def meets(have: Observed, needs: Needs) -> Met:
    return kind.ALWAYS


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    if step.verb is Verb.REMOVE:
        return None
    assert isinstance(step.config, VolumeConfig)
    if have is None:
        return Observed(step.id, VolumeInfo(step.config, uid))
    return replace(have, info=VolumeInfo(step.config, have.uid))


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
