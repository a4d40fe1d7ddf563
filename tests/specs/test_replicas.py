"""x-corral.replica: what each replica of a service is."""

import json
import textwrap
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specs import validate
from specs.composing import replicas
from specs.normal import render

THREE = """\
services:
  zk:
    image: host
    scale: 3
    hostname: zk
    environment: {ALL: "1"}
    networks: {default: {aliases: [all]}}
    volumes: [data:/data]
    x-corral:
      replica:
        %s
networks: {default: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
volumes: {data: {x-corral: {each: replica}}}
"""


def three(*fields: str) -> str:
    return THREE % "\n        ".join(fields)


def replicas_of(folder: Any, *fields: str, **options: Any) -> Any:
    return folder.load(three(*fields), **options).canonical["services"]["zk"]["replicas"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zk{index}", "zk7"),
        ("{index}{index}", "77"),
        ("10.9.0.{index+10}", "10.9.0.17"),
        ("{index-1}", "6"),
        ("{index-8}", "-1"),
        (
            "{ index } {index +1} {INDEX} {index*2} {indexes} {x} {{}}",
            "{ index } {index +1} {INDEX} {index*2} {indexes} {x} {{}}",
        ),
        ("{{index}}", "{7}"),
        ("${index", "${index"),
        ("{index+٣}", "{index+٣}"),
    ],
)
def test_index_is_the_replicas_number_and_other_braces_stay(text: str, expected: str) -> None:
    assert replicas.indexed(text, 7) == expected


@pytest.mark.key("services.x-corral", "services.x-corral.replica")
def test_each_replica_is_the_service_with_the_template_over_it(folder: Any) -> None:
    found = replicas_of(
        folder,
        'hostname: "zk{index}"',
        'environment: ["MYID={index}"]',
        'networks: {default: {ipv4_address: "10.9.0.{index+10}"}}',
        'ports: ["{index+8080}:80"]',
        'mem_limit: "{index}g"',
        'command: "serve --id {index}"',
    )
    assert list(found) == ["1", "2", "3"]
    second = found["2"]
    assert second["hostname"] == "zk2"
    assert second["environment"] == {"ALL": "1", "MYID": "2"}
    assert second["networks"] == {"default": {"aliases": ["all"], "ipv4_address": "10.9.0.12"}}
    assert second["ports"][0]["published"] == "8082"
    assert second["mem_limit"] == 2 << 30
    assert second["command"] == ["serve", "--id", "2"]
    assert second["volumes"][0]["source"] == "data"


def test_the_service_itself_is_as_other_tools_see_it(folder: Any) -> None:
    service = folder.load(three('hostname: "zk{index}"')).canonical["services"]["zk"]
    assert service["hostname"] == "zk"
    assert folder.load(three("{}")).canonical["services"]["zk"]["hostname"] == "zk"


def test_variables_are_filled_in_before_the_number(folder: Any) -> None:
    found = replicas_of(folder, 'hostname: "$BASE{index}"', environment={"BASE": "host{index+1}-"})
    assert found["1"]["hostname"] == "host2-1"


def test_the_command_line_asks_for_more_than_the_file(folder: Any) -> None:
    found = replicas_of(folder, 'hostname: "zk{index}"', scale={"zk": 5})
    assert [each["hostname"] for each in found.values()] == ["zk1", "zk2", "zk3", "zk4", "zk5"]
    assert len(replicas_of(folder, 'hostname: "zk{index}"', scale={"zk": 1})) == 3


def test_without_a_scale_there_is_one_and_what_runs_is_as_it_says(folder: Any) -> None:
    text = "services: {a: {image: host, x-corral: {replica: {hostname: 'a{index}'}}}}"
    project = folder.project(text)
    assert project.replica("a", 1).hostname == "a1"
    assert project.services["a"].hostname is None


def test_templates_of_several_files_are_laid_over_each_other(folder: Any) -> None:
    folder.write(
        {
            "compose.yaml": three('hostname: "zk{index}"', "environment: {A: 1}"),
            "more.yaml": 'services: {zk: {x-corral: {replica: {environment: ["A={index}", B=2]}}}}',
            "reset.yaml": "services: {zk: {x-corral: {replica: !reset null}}}",
        }
    )
    both = folder.load(files=("compose.yaml", "more.yaml")).canonical["services"]["zk"]
    assert both["replicas"]["3"]["environment"] == {"ALL": "1", "A": "3", "B": "2"}
    assert both["replicas"]["3"]["hostname"] == "zk3"
    none = folder.load(files=("compose.yaml", "reset.yaml")).canonical["services"]["zk"]
    assert "replicas" not in none


def test_what_a_replica_needs_its_service_needs(folder: Any) -> None:
    text = """
    services:
      a: {image: host, scale: 2, x-corral: {replica: {links: ["b:other{index}"]}}}
      b: {image: host}
      c: {image: host}
    """
    service = folder.load(text).canonical["services"]["a"]
    assert list(service["depends_on"]) == ["b"]
    assert service["replicas"]["2"]["links"] == ["b:other2"]
    assert "depends_on" not in service["replicas"]["2"]


def test_networks_and_volumes_that_only_a_template_names_are_kept(folder: Any) -> None:
    text = """
    services:
      a: {image: host, scale: 2, x-corral: {replica: {networks: [other], volumes: ["mine:/x"], configs: ["c{index}"]}}}
    networks: {other: {}, unused: {}}
    volumes: {mine: {}, unused: {}}
    configs: {c1: {content: one}, c2: {content: two}, c3: {content: three}}
    """
    document = folder.load(text).canonical
    assert list(document["networks"]) == ["other"]
    assert list(document["volumes"]) == ["mine"]
    assert list(document["configs"]) == ["c1", "c2"]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_config_prints_the_template_as_it_is_written_and_reads_it_again(folder: Any, form: str) -> None:
    loaded = folder.load(three('hostname: "zk{index}"', "environment: {PRICE: '$$5 {index}'}"))
    document = folder.normal().document
    zk = document["services"]["zk"]
    assert zk["x-corral"] == {"replica": {"hostname": "zk{index}", "environment": {"PRICE": "$$5 {index}"}}}
    assert "replicas" not in zk
    again = folder.load(render.text(document) if form == "yaml" else json.dumps(document))
    assert validate.project(again.canonical).model_dump() == validate.project(loaded.canonical).model_dump()


# ----------------------------------------------------------------------------------------------------------- complaints


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (
            "enviroment: {}",
            "compose.yaml:11:9: services.zk.x-corral.replica.enviroment: unknown key 'enviroment' (did you mean environment?)",
        ),
        (
            "scale: 3",
            "compose.yaml:11:9: services.zk.x-corral.replica.scale: cannot be given for one replica: it says how many replicas "
            "there are (say it of the service)",
        ),
        (
            "deploy: {replicas: 3}",
            "compose.yaml:11:18: services.zk.x-corral.replica.deploy.replicas: cannot be given for one replica: it says how "
            "many replicas there are (say it of the service)",
        ),
        (
            "depends_on: [b]",
            "compose.yaml:11:9: services.zk.x-corral.replica.depends_on: cannot be given for one replica: the replicas of a "
            "service wait for the same (say it of the service)",
        ),
        (
            "x-corral: {replica: {}}",
            "compose.yaml:11:9: services.zk.x-corral.replica.x-corral: cannot be given for one replica: it is said of the "
            "whole service (say it of the service)",
        ),
        (
            "environment: {MYID: {index+1}}",
            "compose.yaml:11:23: services.zk.x-corral.replica.environment.MYID: is a mapping to YAML "
            '(write "{index+1}", with quotes)',
        ),
        (
            "environment: !reset null",
            "compose.yaml:11:9: services.zk.x-corral.replica.environment: !reset and !override are not for what is in a "
            "template (give the value it is to have)",
        ),
        (
            'networks: {default: {ipv4_address: "10.9.{index-2}.4"}}',
            "compose.yaml:11:30: services.zk.replicas.1.networks.default.ipv4_address: '10.9.-1.4' is not an address\n"
            "compose.yaml:11:30: services.zk.replicas.3.networks.default.ipv4_address: 10.9.1.4 is not in 10.9.0.0/24 "
            "(network default)",
        ),
        (
            "networks: {default: {ipv4_address: 10.9.0.4}}",
            "compose.yaml:11:30: services.zk.replicas.2.networks.default.ipv4_address: 10.9.0.4 is taken already, by "
            "services.zk.replicas.1 (network default)",
        ),
        (
            'networks: {default: {mac_address: "02:00:00:00:00:01"}}',
            "compose.yaml:11:30: services.zk.replicas.2.networks.default.mac_address: 02:00:00:00:00:01 is that of "
            "services.zk.replicas.1 already (network default)",
        ),
        (
            "container_name: same",
            "compose.yaml:11:9: services.zk.replicas.2.container_name: the container name 'same' is that of replica 1 (write "
            "{index} in it)",
        ),
        (
            'container_name: "p-zk-{index+1}"',
            None,
        ),
        (
            "volumes: ['nope:/x']",
            "compose.yaml:11:19: services.zk.replicas.1.volumes[1]: there is no volume nope (declare it below the top's volumes)",
        ),
        (
            "networks: [nope]",
            "compose.yaml:11:20: services.zk.replicas.1.networks.nope: there is no network nope (declare it below the top's "
            "networks)",
        ),
        (
            'ports: ["80:80"]',
            "compose.yaml:11:17: services.zk.replicas.2.ports[0]: host port 80/tcp is taken already, by ports[0] of "
            "services.zk.replicas.1",
        ),
        (
            'ports: ["{index+65533}:80"]',
            "compose.yaml:11:17: services.zk.x-corral.replica.ports[0]: ",
        ),
        ('stop_grace_period: "{index}x"', "compose.yaml:11:9: services.zk.replicas.1.stop_grace_period: "),
        ('hostname: "zk{index}_"', None),
        ('hostname: "{index}!"', "compose.yaml:11:9: services.zk.replicas.1.hostname: '1!' is not a host's name\n"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Any, fields: str, complaint: str | None) -> None:
    if complaint is None:
        folder.project(three(fields))
        return
    said = folder.complaint(three(fields))
    assert said.startswith(complaint)
    if not complaint.endswith((" ", "\n")):
        assert said.startswith(complaint + "\n") or said == complaint


def test_what_is_wrong_with_the_service_is_told_once(folder: Any) -> None:
    text = "services: {a: {image: host, scale: 3, stop_grace_period: 3x, x-corral: {replica: {hostname: 'a{index}'}}}}"
    assert len(folder.complaint(text).splitlines()) == 1
    text = "services: {a: {image: host, scale: 3, volumes: ['no:/x'], x-corral: {replica: {hostname: 'a{index}'}}}}"
    assert len(folder.complaint(text).splitlines()) == 1


def test_a_larger_scale_is_checked_like_the_files(folder: Any) -> None:
    fields = 'networks: {default: {ipv4_address: "10.9.0.{index+250}"}}'
    folder.project(three(fields))
    said = folder.complaint(three(fields), scale={"zk": 5})
    assert said == (
        "compose.yaml:11:30: services.zk.replicas.5.networks.default.ipv4_address: 10.9.0.255 is the broadcast address of "
        "10.9.0.0/24 (network default)"
    )


def test_a_service_without_an_address_of_its_own_clashes_with_a_replica(folder: Any) -> None:
    text = three('networks: {default: {ipv4_address: "10.9.0.{index+10}"}}').replace(
        "services:\n", "services:\n  one: {image: host, networks: {default: {ipv4_address: 10.9.0.12}}}\n"
    )
    assert "10.9.0.12 is taken already, by services.one" in folder.complaint(text)


def test_documents_that_no_loader_has_made_are_refused(folder: Any) -> None:
    document = folder.load(three('hostname: "zk{index}"')).canonical
    zk = document["services"]["zk"]
    for spoilt in ({"1": zk["replicas"]["1"]}, {"x": zk["replicas"]["1"]}, [], {"1": {}, "2": {}, "3": {}}):
        spoilt_document = {**document, "services": {"zk": {**zk, "replicas": spoilt}}}
        with pytest.raises(validate.SpecErrors):
            validate.project(spoilt_document)


# -------------------------------------------------------------------------------------------------------------- volumes


@pytest.mark.key("volumes.x-corral", "volumes.x-corral.each")
def test_a_volume_of_each_replica(folder: Any) -> None:
    volume = folder.project(three("{}")).volumes["data"]
    assert volume.of_each_replica
    assert volume.name_for(2) == "p_data-2"


@pytest.mark.parametrize(
    ("volumes", "complaint"),
    [
        (
            "{data: {x-corral: {each: one}}}",
            "volumes.data.x-corral.each: 'one' is not supported: replica (one for each replica)",
        ),
        (
            "{data: {external: true, x-corral: {each: replica}}}",
            "volumes.data.x-corral: x-corral cannot be given for what is external: who made it has said it",
        ),
        (
            "{data: {driver_opts: {type: none, o: bind, device: /srv}, x-corral: {each: replica}}}",
            "volumes.data.x-corral.each: all replicas would have the same: /srv (leave out driver_opts, or `each: replica`)",
        ),
        (
            "{data: {x-corral: {each: replica}}, data-2: {}}",
            "volumes.data-2: 'data-2' is what a replica's volume of volumes.data is called",
        ),
        (
            "{data: {x-corral: {each: replica}}, other: {name: p_data-7}}",
            "volumes.other: 'p_data-7' is what a replica's volume of volumes.data is called",
        ),
        ("{data: {x-corral: {eech: replica}}}", "volumes.data.x-corral.eech: unknown key 'eech' (did you mean each?)"),
    ],
)
def test_volumes_that_cannot_be_each_replicas(folder: Any, volumes: str, complaint: str) -> None:
    text = f"services: {{a: {{image: host, volumes: ['data:/data', 'data-2:/2', 'other:/o']}}}}\nvolumes: {volumes}\n"
    assert complaint in folder.complaint(text)


# ------------------------------------------------------------------------------------------------- the same as two files


TEXTS = st.sampled_from(["x", "{index}", "a{index+10}b", "{index-1}{x}", "$${index}", "{index}{index}", "{indexes}"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "hostname": st.sampled_from(["zk{index}", "zk", "h{index+3}.example"]),
    "environment": st.one_of(
        st.dictionaries(st.sampled_from(["ALL", "B", "C"]), TEXTS, max_size=3),
        st.lists(st.sampled_from(["ALL={index}", "B={index+1}", "C"]), max_size=3, unique=True),
    ),
    "labels": st.dictionaries(st.sampled_from(["a", "b"]), TEXTS, max_size=2),
    "command": st.one_of(st.sampled_from(["serve {index}", "a 'b {index}'"]), st.lists(TEXTS, max_size=3)),
    "ports": st.lists(st.sampled_from(["{index+8000}:80", "90{index}:81", "81"]), max_size=2, unique=True),
    "volumes": st.lists(st.sampled_from(["./d{index}:/data", "data:/d{index}", "/tmp:/t"]), max_size=3, unique=True),
    "tmpfs": st.sampled_from(["/run{index}", "/tmp:size={index}m"]),
    "mem_limit": st.sampled_from(["{index}g", "512m"]),
    "extra_hosts": st.lists(st.sampled_from(["h{index}:10.0.0.{index}", "all:10.0.0.1"]), max_size=2, unique=True),
    "healthcheck": st.sampled_from([{"test": "check {index}"}, {"test": ["CMD", "x"], "interval": "{index}s"}]),
    "networks": st.sampled_from([["default"], {"default": {"aliases": ["n{index}"]}}]),
    "ulimits": st.sampled_from([{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}]),
    "logging": st.sampled_from([{"driver": "none"}, {"options": {"max-size": "{index}m"}}]),
    "init": st.booleans(),
}
PARTIAL = st.fixed_dictionaries({}, optional=FIELDS)


def _written(value: Any, number: int) -> Any:
    """The value as a user would write it for one replica, with nothing of ours."""
    if isinstance(value, str):
        for away in range(-1, 9000):
            sign = f"{away:+d}" if away else ""
            value = value.replace(f"{{index{sign}}}", str(number + away)) if f"{{index{sign}}}" in value else value
            if "{index" not in value:
                break
        return value
    if isinstance(value, list):
        return [_written(each, number) for each in value]
    return {key: _written(each, number) for key, each in value.items()} if isinstance(value, dict) else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=PARTIAL, template=PARTIAL, number=st.integers(1, 4))
def test_a_template_is_as_one_more_file(folder: Any, base: Any, template: Any, number: int) -> None:
    service = {"image": "host", "scale": 4, **_written(base, 9)}
    document: dict[str, Any] = {"services": {"zk": service}, "volumes": {"data": {}}}
    folder.write({"base.yaml": json.dumps(document)})
    folder.write({"more.yaml": json.dumps({"services": {"zk": _written(template, number)}})})
    service["x-corral"] = {"replica": template}
    folder.write({"all.yaml": json.dumps(document)})
    by_files = folder.load(files=("base.yaml", "more.yaml")).canonical["services"]["zk"]
    ours = folder.load(files=("all.yaml",)).canonical["services"]["zk"]["replicas"][str(number)]
    assert textwrap.dedent(json.dumps(ours, sort_keys=True)) == json.dumps(by_files, sort_keys=True)


# ---------------------------------------------------------------------------------------------------------------- leave


@pytest.mark.key("services.x-corral.leave", "services.x-corral.leave.timeout")
def test_leave_is_a_hook_with_a_timeout(folder: Any) -> None:
    text = "services: {a: {image: host, x-corral: {leave: {command: 'drain --all', environment: [A=b], timeout: 90s}}}}"
    leave = folder.project(text).services["a"].x_corral.leave
    assert leave.command == ("drain", "--all")
    assert (leave.timeout, leave.environment) == (90.0, {"A": "b"})
    assert (
        folder.project("services: {a: {image: host, x-corral: {leave: {command: x}}}}")
        .services["a"]
        .x_corral.leave.timeout
        == 600
    )
    document = folder.normal(text).document
    shown = document["services"]["a"]["x-corral"]["leave"]
    assert shown == {"command": ["drain", "--all"], "environment": {"A": "b"}, "timeout": "90s"}
    loaded = folder.load(text)
    assert folder.load(render.text(document)).canonical == loaded.canonical


def test_a_later_file_replaces_the_command(folder: Any) -> None:
    folder.write(
        {
            "compose.yaml": "services: {a: {image: host, x-corral: {leave: {command: [one, two], timeout: 1m}}}}",
            "more.yaml": "services: {a: {x-corral: {leave: {command: [three]}}}}",
        }
    )
    leave = folder.load(files=("compose.yaml", "more.yaml")).canonical["services"]["a"]["x-corral"]["leave"]
    assert leave == {"command": ["three"], "timeout": 60.0}


@pytest.mark.parametrize(
    ("leave", "complaint"),
    [
        ("{timeout: 1m}", "services.a.x-corral.leave: a hook needs a command"),
        ("{command: x, timeout: 0s}", "services.a.x-corral.leave.timeout: '0s' leaves it no time"),
        ("{command: x, timeout: soon}", "services.a.x-corral.leave.timeout: "),
        ("{comand: x}", "services.a.x-corral.leave.comand: unknown key 'comand' (did you mean command?)"),
        ("drain", "services.a.x-corral.leave: must be a mapping, drain is text"),
    ],
)
def test_what_is_wrong_with_a_leave_is_told(folder: Any, leave: str, complaint: str) -> None:
    assert complaint in folder.complaint(f"services: {{a: {{image: host, x-corral: {{leave: {leave}}}}}}}")
