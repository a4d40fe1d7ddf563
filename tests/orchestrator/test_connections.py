"""Networks that a command joins a service to, or takes it out of: wanted, kept, shown, and taken back by `up`."""

import json

import pytest
from fake_lab import Lab, eventually

from engine.types.infos import EndpointInfo
from reconciler.resource import Verb

DEMO = """
services:
  web: {image: "rootfs:/srv/root", command: serve, networks: [front]}
  db: {image: "rootfs:/srv/root", command: keep, networks: [front, back]}
networks: {front: {}, back: {}}
"""


def joined(lab: Lab) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for info in lab.engine.infos.values():
        if isinstance(info, EndpointInfo):
            found.setdefault(info.config.sandbox, set()).add(info.config.network)
    return found


def endpoint(lab: Lab, sandbox: str, network: str) -> EndpointInfo:
    found = (info for info in lab.engine.infos.values() if isinstance(info, EndpointInfo))
    return next(each for each in found if (each.config.sandbox, each.config.network) == (sandbox, network))


def test_connect_adds_a_cable_and_nothing_else(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    lab.corral("network", "create", "--subnet", "10.5.0.0/16", "shared")
    lab.engine.done.clear()
    lab.corral("network", "connect", "--ip", "10.5.0.77", "--alias", "www", "shared", "web")
    assert lab.engine.done == [("endpoint:web/shared", Verb.CREATE)]
    found = endpoint(lab, "web", "shared").config
    assert (found.address, "www" in found.names) == ("10.5.0.77", True)
    lab.corral("network", "connect", "back", "demo-web-1")
    assert joined(lab)["web"] == {"demo_front", "demo_back", "shared"}
    assert "declared by" not in lab.corral("network", "inspect", "shared")[0]
    assert "in use by demo-web-1" in lab.corral("network", "rm", "shared", code=1)[1]
    plan = lab.corral("plan", code=2)[0]
    assert "- endpoint:web/shared  remove   " in plan
    assert plan.count("takes back corral network connect") == 2
    lab.corral("up", "-d", "db")
    assert joined(lab)["web"] == {"demo_front", "demo_back", "shared"}
    lab.corral("up", "-d")
    assert joined(lab) == {"web": {"demo_front"}, "db": {"demo_front", "demo_back"}}
    assert ("container:web", Verb.STOP) not in lab.engine.done
    lab.corral("network", "rm", "shared")


def test_connect_says_all_that_a_file_could(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    subnets = ("--subnet", "10.5.0.0/16", "--subnet", "fd05::/64")
    lab.corral("network", "create", "--ipv6", *subnets, "shared")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    more = ("--link-local-ip", "169.254.7.7", "--link-local-ip=fe80::77", "--driver-opt", option)
    lab.corral("network", "connect", "--ip6", "fd05::77", "--gw-priority", "1", *more, "shared", "web")
    found = endpoint(lab, "web", "shared").config
    assert (found.address6, found.link_local) == ("fd05::77", ("169.254.7.7", "fe80::77"))
    assert (found.primary, endpoint(lab, "web", "demo_front").config.primary) == (True, False)
    assert found.sysctls == (("net.ipv4.conf.IFNAME.log_martians", "1"),)
    member = json.loads(lab.corral("network", "inspect", "-f", "{{json .Containers}}", "shared")[0])
    assert [each["IPv6Address"] for each in member.values()] == ["fd05::77/64"]
    lab.corral("network", "disconnect", "-f", "shared", "web")
    assert endpoint(lab, "web", "demo_front").config.primary
    lab.corral("network", "connect", "--gw-priority", "-1", "shared", "web")
    assert endpoint(lab, "web", "demo_front").config.primary


def test_addresses_come_from_the_range_that_was_said(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    lab.corral("network", "create", "--subnet", "10.5.0.0/16", "--ip-range", "10.5.7.8/30", "shared")
    lab.corral("network", "connect", "shared", "web")
    assert endpoint(lab, "web", "shared").config.address.startswith("10.5.7.")
    lab.corral("network", "disconnect", "shared", "web")
    lab.corral("network", "rm", "shared")


def test_disconnect_takes_a_cable_away_until_up(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    lab.engine.done.clear()
    lab.corral("network", "disconnect", "demo_back", "db")
    assert ("endpoint:db/back", Verb.REMOVE) in lab.engine.done
    assert not [verb for name, verb in lab.engine.done if name.startswith(("container:", "sandbox:"))]
    assert joined(lab)["db"] == {"demo_front"}
    assert "takes back corral network disconnect" in lab.corral("plan", code=2)[0]
    lab.kill()
    lab.start()
    eventually(lambda: joined(lab)["db"] == {"demo_front"})
    lab.corral("up", "-d")
    assert joined(lab)["db"] == {"demo_front", "demo_back"}


def test_connect_and_disconnect_again_is_as_before(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    lab.corral("network", "create", "shared")
    lab.corral("network", "connect", "shared", "db")
    lab.corral("network", "disconnect", "shared", "db")
    assert joined(lab)["db"] == {"demo_front", "demo_back"}
    lab.corral("network", "rm", "shared")
    assert "resources are as declared" in lab.corral("plan")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("connect", "demo_front", "web"), "service web is in network demo_front already"),
        (("disconnect", "demo_back", "web"), "service web is not in network demo_back"),
        (("connect", "nosuch", "web"), "no network is called nosuch"),
        (("connect", "demo_back", "nosuch"), "no service or container is called nosuch"),
        (("connect", "--ip", "1.2.3.4", "demo_back", "web"), "1.2.3.4 needs a subnet"),
        (("connect", "--ip6", "fd05::1", "demo_back", "web"), "fd05::1 needs IPv6, which network back has not"),
        (("connect", "--link-local-ip", "1.2.3.4", "demo_back", "web"), "1.2.3.4 is not link-local"),
        (("connect", "--driver-opt", "a=b", "demo_back", "web"), "an endpoint has no option 'a'"),
        (("connect", "--gw-priority", "high", "demo_back", "web"), "invalid int value"),
        (("connect", "--link", "db:x", "demo_back", "web"), "--link is not supported yet"),
        (("connect", "--alias", "a b", "demo_back", "web"), "'a b' is not a host's name"),
    ],
)
def test_what_cannot_be_is_refused(lab: Lab, words: tuple[str, ...], said: str) -> None:
    lab.write(DEMO)
    lab.corral("up", "-d")
    lab.engine.done.clear()
    assert said in lab.corral("network", *words, code=1)[1]
    assert lab.engine.done == []
