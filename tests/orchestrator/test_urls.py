"""Where a browser finds a container's pages: by name, at a published port, or at its address."""

from dataclasses import replace
from typing import Any

from fake_lab import Lab

from engine.types.configs import ContainerConfig, EndpointConfig, NetworkMode, SandboxConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Look, SandboxInfo, State
from engine.types.parts import PortMap
from orchestrator.daemon import urls


def endpoint(key: str, address: str, *, primary: bool = False, address6: str = "") -> EndpointInfo:
    config = EndpointConfig(
        "lab", "nn", f"lab_{key}", key, address, 24, "", "nn.lab", primary=primary, address6=address6
    )
    return EndpointInfo(config, f"endpoint-{key}", "n", "s")


CONFIG = ContainerConfig("lab-nn-1", "lab", "nn", 1, "nn", "nn", "host")
RUNNING = ContainerInfo(CONFIG, "uid", "image", State.RUNNING)
LOOK = Look(
    sandboxes=(SandboxInfo(SandboxConfig("nn", "lab"), "s"),),
    endpoints=(endpoint("back", "10.1.0.2"), endpoint("front", "10.0.0.2", primary=True)),
    containers=(RUNNING,),
)


def shown(look: Look, *, named: bool = False, pages: dict[str, str] | None = None) -> list[str]:
    said: dict[str, Any] = {"x-corral": {"pages": pages or {"NameNode": "9870", "Logs": "9870/logs"}}}
    found = urls.of_look(look, {"services": {"nn": said}}, named=named)
    return [page["URL"] for page in found.get("uid", [])]


def with_ports(*ports: PortMap) -> Look:
    return replace(LOOK, containers=(replace(RUNNING, config=replace(CONFIG, ports=ports)),))


def test_without_anything_else_it_is_the_address_that_leads_outside() -> None:
    assert shown(LOOK) == ["http://10.0.0.2:9870/", "http://10.0.0.2:9870/logs"]


def test_a_published_port_goes_before_the_address() -> None:
    assert shown(with_ports(PortMap("0.0.0.0", 49001, 9870))) == [
        "http://localhost:49001/",
        "http://localhost:49001/logs",
    ]
    assert shown(with_ports(PortMap("127.0.0.1", 49001, 9870)))[0] == "http://127.0.0.1:49001/"
    assert shown(with_ports(PortMap("::1", 49001, 9870)))[0] == "http://[::1]:49001/"
    assert shown(with_ports(PortMap("0.0.0.0", 49001, 9870, "udp")))[0] == "http://10.0.0.2:9870/"
    assert shown(with_ports(PortMap("0.0.0.0", 49001, 80)))[0] == "http://10.0.0.2:9870/"


def test_a_name_that_this_machine_has_goes_before_all() -> None:
    assert shown(with_ports(PortMap("0.0.0.0", 49001, 9870)), named=True)[0] == "http://nn.lab:9870/"


def test_who_is_in_the_sandbox_of_another_has_its_name_and_its_ports() -> None:
    owner = replace(RUNNING, uid="owner", config=replace(CONFIG, service="o", ports=(PortMap("0.0.0.0", 7, 9870),)))
    guest = replace(RUNNING, config=replace(CONFIG, slot="guest"))
    look = replace(LOOK, containers=(owner, guest))
    assert shown(look)[0] == "http://localhost:7/"
    assert shown(look, named=True)[0] == "http://nn.lab:9870/"


def test_in_the_machines_own_network_it_is_localhost() -> None:
    host = SandboxInfo(SandboxConfig("nn", "lab", NetworkMode.HOST), "s")
    assert shown(replace(LOOK, sandboxes=(host,), endpoints=()), named=True)[0] == "http://localhost:9870/"


def test_an_address_of_ipv6_has_brackets() -> None:
    six = endpoint("six", "", primary=True, address6="fd00::2")
    assert shown(replace(LOOK, endpoints=(six,)))[0] == "http://[fd00::2]:9870/"


def test_what_does_not_run_has_no_page_and_nothing_leads_to_who_has_no_network() -> None:
    assert shown(replace(LOOK, containers=(replace(RUNNING, state=State.EXITED),))) == []
    assert shown(replace(LOOK, endpoints=(), sandboxes=())) == []


PAGES = """
services:
  web:
    image: "rootfs:/srv/root"
    command: serve
    scale: 3
    healthcheck: {test: [CMD, "true"]}
    ports: ["127.0.0.1:8001-8003:80"]
    x-corral: {pages: {Status: 80, "Deep page": 81/deep}}
  other: {image: "rootfs:/srv/root", command: serve}
"""


def test_urls_lists_the_pages_of_all_or_of_some(lab: Lab) -> None:
    lab.write(PAGES)
    lab.corral("up", "-d")
    out, err = lab.corral("urls")
    lines = out.splitlines()
    assert lines[0].split() == ["SERVICE", "TITLE", "URL"]
    assert [line.split()[0] for line in lines[1:]] == ["web-1"] * 2 + ["web-2"] * 2 + ["web-3"] * 2
    assert lines[1].split()[1:] == ["Status", "http://127.0.0.1:8001/"]
    assert err == ""
    assert lab.corral("urls", "-q", "web")[0].splitlines() == [line.split()[-1] for line in lines[1:]]
    assert '"Title":"Deep page"' in lab.corral("urls", "--format", "json")[0]
    out, err = lab.corral("urls", "other")
    assert out.split() == ["SERVICE", "TITLE", "URL"]
    assert "no container that runs has pages" in err
    assert "service gone has no container" in lab.corral("urls", "gone", code=1)[1]


def test_up_and_wait_says_where_they_are_and_not_where_quiet_is_asked_for(lab: Lab) -> None:
    lab.write(PAGES)
    _, err = lab.corral("up", "--wait")
    said = err.splitlines()[-3:]
    assert said[0] == "Status     http://127.0.0.1:8001/"
    assert said[1].startswith("Deep page  http://")
    assert said[2] == "and 4 more: corral urls"
    assert lab.corral("--progress", "quiet", "up", "--wait")[1] == ""
    assert "http" not in lab.corral("up", "-d")[1]
    lab.write(PAGES.replace('    x-corral: {pages: {Status: 80, "Deep page": 81/deep}}\n', ""))
    assert "http" not in lab.corral("up", "--wait")[1]


def test_a_page_that_is_edited_changes_nothing_that_runs(lab: Lab) -> None:
    lab.write(PAGES)
    lab.corral("up", "-d")
    done = list(lab.engine.done)
    lab.write(PAGES.replace("Status: 80", "Health: 80"))
    lab.corral("up", "-d")
    assert lab.engine.done == done
    assert "Health" in lab.corral("urls")[0]
