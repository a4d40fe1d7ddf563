"""What `corral plan` says, as text: one test for each thing that users do, or that happens to them."""

import inspect
from dataclasses import replace

import pytest
import scenes
from scenes import Scene, needs, port, project, service, static, subnet, volume

from engine.types.configs import NetworkConfig, VolumeConfig
from engine.types.infos import ContainerInfo, ImageInfo, NetworkInfo, State, Taken, VolumeInfo
from engine.types.parts import BindMount, PortMap
from reconciler import plan, render
from reconciler.actual import ActualState
from reconciler.asking import Orphans, Recreate
from reconciler.errors import Ring
from reconciler.resource import Depth

LAB = {"lab": subnet("10.9.0.0/24")}


def says(actual: str, expected: str) -> None:
    assert actual == inspect.cleandoc(expected)


def database_and_web(**web):
    db = service(volumes=[volume("data")], healthcheck=scenes.CHECKED, networks=static("10.9.0.5"))
    web = {"ports": [port("8080")], "depends_on": {"db": needs("service_healthy")}, **web}
    return project({"db": db, "web": service(**web)}, networks=LAB)


def pair(a=None, b=None, **options):
    return project({"a": service(**(a or {})), "b": service(**(b or {}))}, networks=LAB, **options)


def standing(canonical) -> Scene:
    return Scene().up(canonical).come_true()


def test_everything_is_made_and_wired_before_anything_starts_and_the_database_is_healthy_first():
    scene = Scene().up(database_and_web())
    says(
        scene.plan(),
        """
        + container:db      create
        + container:web     create   takes host port 8080/tcp
        + endpoint:db/lab   create
        + endpoint:web/lab  create
        + image:host        create
        + network:lab       create
        + sandbox:db        create
        + sandbox:web       create
        + volume:data       create
        0 resources are as declared
        """,
    )
    says(
        scene.steps(),
        """
        image:host        create   is not there
        network:lab       create   is not there
        sandbox:db        create   is not there
        sandbox:web       create   is not there
        volume:data       create   is not there
        container:db      create   is not there
        container:web     create   is not there
        endpoint:db/lab   create   is not there
        endpoint:web/lab  create   is not there
        container:db      start    has not run yet
        container:web     start    has not run yet
        """,
    )


def test_what_is_as_declared_is_only_counted():
    says(standing(database_and_web()).plan(), "9 resources are as declared")
    says(Scene().up(project({})).plan(), "0 resources are as declared")
    says(
        standing(project({"a": service(network_mode="none", image="rootfs:/r")})).plan(), "3 resources are as declared"
    )


@pytest.mark.key("services.labels")
def test_limits_ports_labels_and_policies_change_live():
    before = {"mem_limit": 512 << 20, "labels": {"tier": "old"}, "restart": "no", "stop_signal": "SIGTERM"}
    after = {
        "mem_limit": 1 << 30,
        "cpus": 1.5,
        "labels": {"tier": "new", "x": "1"},
        "restart": "on-failure:3",
        "stop_signal": "SIGINT",
        "stop_grace_period": 2.5,
        "ports": [port("8081")],
        "expose": ["9000"],
        "healthcheck": {"test": ["CMD", "curl", "localhost"]},
    }
    scene = standing(database_and_web(**before)).up(database_and_web(**after))
    says(
        scene.plan(),
        """
        ~ container:web  update   ports -8080:80/tcp, +8081:80/tcp, live, expose +9000, live, mem_limit 512m -> 1g, live, cpus none -> 1.5, live, restart no -> on-failure:3, live, healthcheck none -> CMD curl localhost, live, stop_signal 15 -> 2, live, stop_grace_period 10s -> 2.5s, live, labels tier old -> new, +x=1, live
        8 resources are as declared
        """,
    )
    assert [step.verb for step in scene.forecast().steps] == ["update"]


def test_what_the_kernel_cannot_change_replaces_the_container_only_and_hides_secrets():
    before = {"environment": {"MODE": "a", "DB_PASSWORD": "old"}, "command": ["serve"], "volumes": [volume("data")]}
    after = {"environment": {"MODE": "b", "DB_PASSWORD": "new", "X": "1"}, "command": ["serve", "-v"]}
    scene = standing(database_and_web(**before)).up(database_and_web(**after))
    says(
        scene.plan(),
        """
        ± container:web  replace  command serve -> serve -v, environment DB_PASSWORD *** -> ***, MODE a -> b, +X=1, volumes -p_data:/data
        8 resources are as declared
        """,
    )
    says(
        scene.steps(),
        f"""
        container:web  stop     {(why := "command serve -> serve -v, environment DB_PASSWORD *** -> ***, MODE a -> b, +X=1, volumes -p_data:/data")}
        container:web  remove   {why}
        container:web  create   is not there
        container:web  start    has not run yet
        """,
    )


def test_a_changed_subnet_takes_endpoints_down_and_up_while_containers_run_on():
    scene = standing(pair())
    before = scene.uids()
    scene.up(project({"a": service(), "b": service()}, networks={"lab": subnet("10.10.0.0/24")}))
    moved = "gateway 10.9.0.1 -> 10.10.0.1"
    says(
        scene.steps(),
        f"""
        endpoint:a/lab  remove   ipv4_address 10.9.0.2 -> 10.10.0.2, {moved}
        endpoint:b/lab  remove   ipv4_address 10.9.0.3 -> 10.10.0.3, {moved}
        network:lab     remove   subnet 10.9.0.0/24 -> 10.10.0.0/24, {moved}
        network:lab     create   is not there
        endpoint:a/lab  create   is not there
        endpoint:b/lab  create   is not there
        """,
    )
    after = scene.come_true().uids()
    assert {i for i in before if before[i] != after[i]} == {"endpoint:a/lab", "endpoint:b/lab", "network:lab"}


@pytest.mark.key("networks.labels")
def test_labels_of_a_network_change_live():
    scene = standing(pair()).up(
        project({"a": service(), "b": service()}, networks={"lab": {**LAB["lab"], "labels": {"x": "1"}}})
    )
    says(
        scene.plan(),
        """
        ~ network:lab  update   labels +x=1, live
        7 resources are as declared
        """,
    )


def test_host_names_hosts_dns_links_and_aliases_change_live():
    changed = {
        "hostname": "front",
        "dns": ["9.9.9.9"],
        "links": ["b:backend"],
        "networks": {"lab": {"aliases": ["www"]}},
    }
    says(
        standing(pair()).up(pair(changed)).plan(),
        """
        ~ endpoint:a/lab  update   fqdn a.p -> front.p, live, names +front, +front.p, +www, live
        ~ sandbox:a       update   hostname a -> front, live, dns none -> 9.9.9.9, live, links +backend=b, live
        6 resources are as declared
        """,
    )


def test_swapped_addresses_go_down_and_up_together():
    scene = standing(pair({"networks": static("10.9.0.5")}, {"networks": static("10.9.0.6")}))
    scene.up(pair({"networks": static("10.9.0.6")}, {"networks": static("10.9.0.5")}))
    says(
        scene.steps(),
        """
        endpoint:a/lab  remove   ipv4_address 10.9.0.5 -> 10.9.0.6
        endpoint:b/lab  remove   ipv4_address 10.9.0.6 -> 10.9.0.5
        endpoint:a/lab  create   is not there
        endpoint:b/lab  create   is not there
        """,
    )


def test_swapped_ports_are_given_up_first_and_nobody_restarts():
    scene = standing(pair({"ports": [port("81")]}, {"ports": [port("82")]}))
    scene.up(pair({"ports": [port("82")]}, {"ports": [port("81")]}))
    says(
        scene.steps(),
        """
        container:a  release  ports -81:80/tcp, +82:80/tcp
        container:b  release  ports -82:80/tcp, +81:80/tcp
        container:a  update   ports +82:80/tcp
        container:b  update   ports +81:80/tcp
        """,
    )


@pytest.mark.parametrize(("before", "after"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::", "::1")])
def test_a_port_of_all_addresses_is_given_up_before_it_is_taken_at_one(before, after):
    pool = {"ipam": {"config": [{"subnet": "10.9.0.0/24"}, {"subnet": "fd12::/64"}]}, "enable_ipv6": True}

    def at(address):
        return project({"a": service(ports=[port("81", host_ip=address), port("82")])}, networks={"lab": pool})

    scene = standing(at(before)).up(at(after))
    assert [(step.id, step.verb) for step in scene.forecast().steps] == [
        ("container:a", "release"),
        ("container:a", "update"),
    ]
    assert [port.host_port for port in scene.forecast().steps[0].ports] == [82, 82]


def test_a_port_moves_to_another_service_in_one_go():
    scene = standing(pair({"ports": [port("81")]})).up(pair({}, {"ports": [port("81", host_ip="127.0.0.1")]}))
    says(
        scene.steps(),
        """
        container:a  update   ports -81:80/tcp
        container:b  update   ports +127.0.0.1:81:80/tcp
        """,
    )


def test_a_renamed_database_starts_when_the_old_one_has_left_its_data():
    old = project({"db": service(volumes=[volume("data")])})
    new = project({"postgres": service(volumes=[volume("data")])})
    steps = standing(old).up(new).steps().splitlines()
    at = {tuple(line.split()[:2]): number for number, line in enumerate(steps)}
    assert at["container:db", "stop"] < at["container:postgres", "start"]
    assert not any(resource_id == "volume:data" for resource_id, _ in at)


def test_two_that_stay_may_share_a_volume():
    scene = Scene().up(pair({"volumes": [volume("data")]}, {"volumes": [volume("data")]}))
    starts = [step.id for step in scene.forecast().steps if step.verb == "start"]
    assert starts == ["container:a", "container:b"]


def test_a_dead_shim_is_made_again_and_its_container_is_started_again_with_its_layer():
    scene = standing(pair({"restart": "no"}))
    scene.exit("container:a", 137, lost=True).hit("sandbox:a")
    says(
        scene.plan(),
        """
        ~ container:a     update   starts: ended with its sandbox
        ± endpoint:a/lab  replace  sandbox:a is gone
        + sandbox:a       create
        5 resources are as declared
        """,
    )
    says(
        scene.steps(),
        """
        endpoint:a/lab  remove   sandbox:a is gone
        sandbox:a       create   is not there
        endpoint:a/lab  create   is not there
        container:a     start    ended with its sandbox
        """,
    )


def test_a_network_made_again_by_others_takes_its_endpoints_with_it():
    scene = standing(pair()).hit("network:lab", uid="another")
    says(
        scene.plan(),
        """
        ± endpoint:a/lab  replace  network:lab was made again
        ± endpoint:b/lab  replace  network:lab was made again
        6 resources are as declared
        """,
    )


def test_drift_is_put_right_live():
    scene = (
        standing(pair()).hit("network:lab", drift=("gateway address", "rules")).hit("sandbox:a", drift=("hosts file",))
    )
    says(
        scene.plan(),
        """
        ~ network:lab  update   gateway address drifted, live, rules drifted, live
        ~ sandbox:a    update   hosts file drifted, live
        6 resources are as declared
        """,
    )
    scene.hit(
        "container:a",
        lambda info: replace(info, config=replace(info.config, limits=replace(info.config.limits, memory_bytes=5))),
    )
    assert "container:a  update   mem_limit 5b -> none, live" in scene.plan()


def test_half_made_things_go_down_and_are_made_again_but_lasting_ones_are_finished():
    scene = standing(database_and_web())
    for resource_id in ("endpoint:web/lab", "image:host", "volume:data"):
        scene.hit(resource_id, whole=False)
    says(
        scene.plan(),
        """
        ± endpoint:web/lab  replace  is half-made or damaged
        ~ image:host        update   is finished: is half-made
        ~ volume:data       update   is finished: is half-made
        6 resources are as declared
        """,
    )


def test_down_is_the_plan_for_nothing_in_the_order_of_what_was_and_spares_volumes_and_images():
    scene = standing(database_and_web())
    scene.hit("endpoint:db/lab", whole=False)
    scene.say(scene.stored.down())
    says(
        scene.steps(),
        """
        container:web     stop     no longer declared
        container:db      stop     no longer declared
        container:web     remove   no longer declared
        endpoint:web/lab  remove   no longer declared
        container:db      remove   no longer declared
        endpoint:db/lab   remove   no longer declared
        sandbox:web       remove   no longer declared
        network:lab       remove   no longer declared
        sandbox:db        remove   no longer declared
        """,
    )
    assert set(scene.come_true().things) == {"image:host", "volume:data"}


def test_what_a_thing_was_made_of_stays_until_it_is_gone_and_what_it_started_with_until_it_has_stopped():
    scene = standing(database_and_web())
    scene.say(scene.stored.down(purge=True))

    def waiting() -> dict[str, tuple[str, ...]]:
        return {each.id: each.by for each in plan.plan(scene.desired, scene.seen()).blocked}

    assert waiting()["endpoint:web/lab"] == ("container:web",)
    scene.exit("container:web", 0)
    assert waiting()["endpoint:db/lab"] == ("container:db",)
    assert "endpoint:web/lab" not in waiting()
    assert "container:db" not in waiting()
    scene.exit("container:db", 0)
    assert waiting() == {
        "network:lab": ("endpoint:db/lab", "endpoint:web/lab"),
        "sandbox:db": ("endpoint:db/lab",),
        "sandbox:web": ("endpoint:web/lab",),
        "volume:data": ("container:db",),
    }


def test_down_of_volumes_is_said_in_that_very_command_and_forgotten_by_the_next_up():
    scene = standing(database_and_web())
    scene.say(scene.stored.down(purge=True))
    assert "- volume:data       remove   its removal was asked for" in scene.plan()
    steps = [(step.id, step.verb) for step in scene.forecast().steps]
    assert steps.index(("container:db", "remove")) < steps.index(("volume:data", "remove"))
    scene.up(database_and_web())
    says(scene.plan(), "9 resources are as declared")
    scene.say(scene.stored.down(purge=True)).come_true()
    assert set(scene.things) == {"image:host"}
    says(scene.say(scene.stored).plan(), "0 resources are as declared")


def test_the_order_of_down_survives_a_restart_of_the_daemon():
    scene = standing(database_and_web())
    scene.stored = scene.stored.from_json(scene.stored.to_json())
    scene.say(scene.stored.down())
    scene.say(scene.stored.from_json(scene.stored.to_json()))
    removed = [step.id for step in scene.forecast().steps if step.verb == "stop"]
    assert removed == ["container:web", "container:db"]


def test_stop_stops_and_start_starts_the_same_container():
    scene = standing(database_and_web())
    before = scene.uids()
    scene.say(scene.stored.stop(["web"]))
    says(
        scene.plan(),
        """
        ~ container:web  update   stops: is to be stopped
        8 resources are as declared
        """,
    )
    scene.come_true()
    says(scene.plan(), "9 resources are as declared")
    assert scene.things["container:web"].state is State.MADE
    scene.say(scene.stored.start(["web"], scene.now))
    says(
        scene.plan(),
        """
        ~ container:web  update   starts: was stopped
        8 resources are as declared
        """,
    )
    assert {i: uid for i, (uid, _) in scene.come_true().uids().items()} == {i: uid for i, (uid, _) in before.items()}


def test_pause_and_up_change_the_container_in_place_and_a_stop_ends_the_pause():
    scene = standing(database_and_web())
    document = database_and_web()
    before = scene.uids()
    scene.say(scene.stored.pause(["web"]))
    says(
        scene.plan(),
        """
        ~ container:web  update   paused false -> true, live
        8 resources are as declared
        """,
    )
    assert scene.come_true().uids() == before
    says(scene.plan(), "9 resources are as declared")
    paused = scene.stored
    scene.up(document)
    says(
        scene.plan(),
        """
        ~ container:web  update   paused true -> false, live
        8 resources are as declared
        """,
    )
    scene.say(paused.stop(["web"]))
    assert [step.verb for step in scene.forecast().steps] == ["stop", "update"]
    scene.come_true().say(scene.stored.start(["web"], scene.now))
    assert [step.verb for step in scene.forecast().steps] == ["start"]


def test_what_has_exited_is_stopped_already_and_start_waits_for_its_dependencies_again():
    both = pair({}, {"depends_on": {"a": needs()}, "restart": "always"})
    scene = standing(both).exit("container:b", 1, hasty=1)
    scene.say(scene.stored.stop())
    says(scene.steps(), "container:a  stop     is to be stopped")
    scene.come_true().say(scene.stored.start(["b"], scene.now))
    blocked = {each.id: each.why for each in scene.forecast().blocked}
    assert blocked == {"container:b": "container:a is not started"}


def test_a_stopped_dependency_stops_those_who_asked_to_be_restarted_with_it():
    both = pair({}, {"depends_on": {"a": needs(restart=True)}})
    scene = standing(both)
    scene.say(scene.stored.stop(["a"]))
    says(
        scene.plan(),
        """
        ~ container:a  update   stops: is to be stopped
        ~ container:b  update   restarts: container:a stops
        ! container:b  cannot start: container:a is not started
        6 resources are as declared
        """,
    )


def test_a_replaced_dependency_restarts_only_those_who_asked_for_it():
    def three(command):
        on_a = {"depends_on": {"a": needs(restart=True)}}
        return project({"a": service(command=command), "b": service(**on_a), "c": service(depends_on={"a": needs()})})

    scene = standing(three(["x"])).up(three(["y"]))
    says(
        scene.plan(),
        """
        ± container:a  replace  command x -> y
        ~ container:b  update   restarts: container:a is replaced
        9 resources are as declared
        """,
    )
    verbs = [f"{step.id} {step.verb}" for step in scene.forecast().steps]
    assert verbs.index("container:b stop") < verbs.index("container:a stop")
    assert verbs.index("container:a start") < verbs.index("container:b start")


def test_scale_adds_and_takes_away_the_last():
    scene = standing(project({"web": service()}))
    scene.up(project({"web": service()}), scale={"web": 3})
    says(
        scene.plan(),
        """
        + container:web-2     create
        + container:web-3     create
        + endpoint:web-2/lab  create
        + endpoint:web-3/lab  create
        + sandbox:web-2       create
        + sandbox:web-3       create
        5 resources are as declared
        """,
    )
    scene.come_true().up(project({"web": service()}), scale={"web": 2})
    says(
        scene.plan(),
        """
        - container:web-3     remove   no longer declared
        - endpoint:web-3/lab  remove   no longer declared
        - sandbox:web-3       remove   no longer declared
        8 resources are as declared
        """,
    )
    foreseen = Scene().up(project({"web": service(scale=2)}))
    assert {"container:web-1", "container:web-2"} <= set(foreseen.desired.wanted)


def test_force_recreate_makes_every_container_anew_once():
    scene = standing(pair()).up(pair(), recreate=Recreate.NAMED)
    says(
        scene.plan(),
        """
        ± container:a  replace  asked to be made anew 0 -> 1
        ± container:b  replace  asked to be made anew 0 -> 1
        6 resources are as declared
        """,
    )
    says(scene.come_true().up(pair()).plan(), "8 resources are as declared")


def test_orphans_of_the_same_file_set_go_and_those_of_another_stay():
    scene = standing(pair())
    scene.up(project({"guest": service(networks=())}), files=("/p/other.yaml",)).come_true()
    assert scene.stored.orphans(scenes.FILES) == ("guest",)
    scene.up(project({"a": service()}, networks=LAB))
    says(
        scene.plan(),
        """
        - container:b     remove   no longer declared
        - endpoint:b/lab  remove   no longer declared
        - sandbox:b       remove   no longer declared
        7 resources are as declared
        """,
    )
    scene.up(project({"a": service()}, networks=LAB), orphans=Orphans.REMOVE)
    assert "- container:guest" in scene.plan()
    scene.up(project({"a": service()}, networks=LAB), files=(*scenes.FILES, "/p/override.yaml"))
    assert len(scene.stored.parts) == 1, "file sets that share a file are one"


def test_up_of_one_service_touches_its_dependencies_and_nobody_else():
    def three(command):
        return project(
            {
                "db": service(command=[command]),
                "web": service(command=[command], depends_on={"db": needs()}),
                "other": service(command=[command]),
            }
        )

    scene = standing(three("old")).up(three("new"), services=["web"])
    assert {change.id for change in scene.forecast().changes} == {"container:db", "container:web"}
    scene.come_true().up(three("newest"), services=["web"], no_deps=True)
    assert {change.id for change in scene.forecast().changes} == {"container:web"}
    fresh = Scene().up(three("new"), services=["web"])
    assert {i for i in fresh.desired.wanted if i.startswith("container:")} == {"container:db", "container:web"}


def test_a_newer_image_replaces_its_containers_only_when_it_is_whole():
    scene = standing(pair())
    scene.hit("image:host", uid="newer", whole=False)
    says(
        scene.plan(),
        """
        ± container:a  replace  image:host is newer
        ± container:b  replace  image:host is newer
        ~ image:host   update   is finished: is half-made
        5 resources are as declared
        """,
    )
    assert scene.forecast().steps[0].id == "image:host", "first it is there, then somebody stops"
    scene.hit("image:host", whole=True)
    says(
        scene.plan(),
        """
        ± container:a  replace  image:host is newer
        ± container:b  replace  image:host is newer
        6 resources are as declared
        """,
    )


def test_the_old_one_runs_until_what_the_new_one_needs_is_there():
    scene = standing(pair()).up(pair({"image": "rootfs:/new"}))
    steps = scene.steps().splitlines()
    assert steps[0].startswith("image:rootfs:/new  create")
    assert steps[1].startswith("container:a        stop")


def test_an_address_held_elsewhere_keeps_the_old_one_and_names_who_has_it():
    scene = standing(pair({"ports": [port("81")]}))
    scene.taken = Taken(ports=((PortMap("0.0.0.0", 80, 0), "nginx (pid 77)"),))
    scene.up(pair({"ports": [port("80")]}))
    says(
        scene.plan(),
        """
        ~ container:a  update   ports -81:80/tcp, +80:80/tcp, live
        ! container:a  cannot update: host port 80/tcp 0.0.0.0 is had by nginx (pid 77)
        7 resources are as declared
        """,
    )
    scene.up(pair({"ports": [port("80")], "tty": True}))
    says(
        scene.plan(),
        """
        ± container:a  replace  tty false -> true
        ! container:a  cannot replace: tty false -> true; the new one needs host port 80/tcp 0.0.0.0, which nginx (pid 77) has
        7 resources are as declared
        """,
    )
    scene.taken = Taken(ports=((PortMap("127.0.0.1", 80, 0, "udp"), "dnsmasq (pid 9)"),))
    assert "!" not in scene.plan(), "another protocol is another port"


def test_a_volume_that_differs_is_never_replaced_and_one_of_another_project_is_not_taken():
    scene = Scene()
    scene.foreign.append(VolumeInfo(VolumeConfig("p_data", "other", "data"), "v#1"))
    scene.up(project({"db": service(volumes=[volume("data")], networks=())}))
    says(
        scene.plan(),
        """
        + container:db  create
        + image:host    create
        + sandbox:db    create
        ! container:db  cannot create: volume:data is not ready
        ! volume:data  cannot replace: volume p_data is of project other: say `external: true` to use it; it is never replaced by itself, for its data's sake
        0 resources are as declared
        """,
    )


def test_a_volume_of_another_name_is_another_volume_and_both_go_with_down_v():
    def called(**fields):
        return project({"db": service(volumes=[volume("data")], networks=())}, volumes={"data": fields})

    scene = standing(called())
    says(
        scene.up(called(name="n")).plan(),
        """
        ± container:db  replace  volumes -p_data:/data, +n:/data
        + volume:data   create
        2 resources are as declared
        """,
    )
    scene.come_true()
    says(scene.plan(), "4 resources are as declared")
    assert {info.config.name for info in scene.look().volumes} == {"p_data", "n"}
    assert "volume:data" not in scene.up(called()).plan()
    scene.come_true().say(scene.stored.down(purge=True)).come_true()
    assert scene.look().volumes == ()


def test_a_volume_that_becomes_external_leaves_the_one_before_to_down_v():
    external = {"data": {"name": "theirs", "external": True}}
    wants = {"db": service(volumes=[volume("data")], networks=())}
    scene = standing(project(wants))
    scene.foreign.append(VolumeInfo(VolumeConfig("theirs", "other", "data"), "v#1"))
    scene.up(project(wants, volumes=external)).come_true()
    says(scene.plan(), "4 resources are as declared")
    look = scene.look()
    for volumes in (look.volumes, look.volumes[::-1]):
        assert ActualState.of(replace(look, volumes=volumes), scene.desired)["volume:data"].uid == "v#1"
    scene.say(scene.stored.down(purge=True)).come_true()
    assert [info.config.name for info in scene.look().volumes] == ["theirs"]


def test_an_external_network_is_waited_for_joined_and_never_touched():
    external = {"lab": {"name": "shared", "external": True}}
    scene = Scene().up(project({"a": service()}, networks=external))
    assert (
        "! network:lab  cannot create: network shared is external and nobody has made it: `corral up`" in scene.plan()
    )
    config = NetworkConfig("shared", "other", "theirs", "10.77.0.0/24", "10.77.0.1")
    scene.foreign.append(NetworkInfo(config, "n#1", drift=("rules",)))
    scene.say(scene.stored).come_true()
    says(scene.plan(), "5 resources are as declared")
    endpoint = scene.things["endpoint:a/lab"].config
    assert (endpoint.address, endpoint.gateway, endpoint.network) == ("10.77.0.2", "10.77.0.1", "shared")
    scene.say(scene.stored.down())
    assert "network:lab" not in scene.steps()
    scene.foreign.clear()


def test_what_exited_by_itself_rests_or_restarts_by_its_policy():
    scene = standing(pair({"restart": "on-failure"}, {"restart": "no"}))
    scene.exit("container:a", 3, hasty=2).exit("container:b", 1)
    says(
        scene.plan(),
        """
        ~ container:a  update   starts: exited 3, 2 times in a row, restart: on-failure
        ! container:b  cannot start: exited 1, restart: no
        6 resources are as declared
        """,
    )
    scene.now += 1
    scene.up(pair({"restart": "on-failure"}, {"restart": "no"}))
    assert "~ container:b  update   starts: exited 1, restart: no" not in scene.plan()
    assert "~ container:b  update   starts: exited 1, and is asked for again" in scene.plan()


def test_exit_0_stays_done_and_is_as_declared():
    scene = standing(pair({"restart": "on-failure"})).exit("container:a", 0)
    scene.now += 1
    says(scene.up(pair({"restart": "on-failure"})).plan(), "8 resources are as declared")


def test_a_failed_dependency_that_is_not_required_is_only_told_about():
    def canonical(required):
        return pair(
            {"restart": "no"}, {"depends_on": {"a": needs("service_completed_successfully", required=required)}}
        )

    for required in (True, False):
        scene = standing(canonical(required)).exit("container:a", 1)
        scene.say(scene.stored.stop(["b"])).come_true()
        scene.say(scene.stored.start(["b"], 0.0))
        blocked = {blocked.id for blocked in scene.forecast().blocked}
        assert ("container:b" in blocked) is required


def test_a_ring_is_named():
    ring = pair({"depends_on": {"b": needs()}}, {"links": ["a:x"]})
    with pytest.raises(Ring, match=r"container:a -> container:b -> container:a"):
        Scene().up(ring)


def test_what_is_made_before_something_goes_down_with_it_or_never():
    """Else making before breaking could wait for itself: CREATE edges point at what lasts, or they are rigid."""
    scene = Scene().up(database_and_web())
    for want in scene.desired.wanted.values():
        for edge in want.edges:
            if edge.gates.name == "CREATE":
                assert edge.rigid is Depth.GONE or edge.to.partition(":")[0] in ("image", "volume"), (want.id, edge)


def test_the_plan_as_data():
    scene = standing(pair({"labels": {}})).up(pair({"labels": {"x": "1"}}))
    assert render.json(scene.forecast()) == {
        "changes": [{"id": "container:a", "action": "update", "reasons": ["labels +x=1, live"]}],
        "steps": [{"id": "container:a", "verb": "update", "because": "labels +x=1"}],
        "blocked": [],
        "kept": 7,
    }


def test_mounts_of_volumes_from_are_part_of_the_container():
    scene = Scene().up(
        pair({"volumes": [{"type": "bind", "source": "/src", "target": "/x"}]}, {"volumes_from": ["a:ro"]})
    )
    info = scene.come_true().things["container:b"].info
    assert isinstance(info, ContainerInfo)
    assert info.config.mounts == (BindMount("/src", "/x", read_only=True),)
    assert isinstance(scene.things["image:host"].info, ImageInfo)
