"""Networks and volumes of no project, and who may not take away what belongs to somebody."""

import json

import pytest
from fake_lab import Lab, eventually

from engine.types.infos import NetworkInfo

DEMO = """
services:
  web: {image: "rootfs:/srv/root", command: serve, networks: [front, outer], volumes: ["data:/data", "kept:/kept"]}
networks:
  front: {}
  outer: {name: shared, external: true}
volumes:
  data: {}
  kept: {name: store, external: true}
"""


def names(lab: Lab, kind: str, *flags: str) -> list[str]:
    out = lab.corral(kind, "ls", "--format", "json", *flags)[0]
    return [json.loads(line)["Name"] for line in out.splitlines()]


def inspect(lab: Lab, kind: str, name: str) -> dict[str, object]:
    found: list[dict[str, object]] = json.loads(lab.corral(kind, "inspect", name)[0])
    return found[0]


def test_a_project_uses_what_a_command_made(lab: Lab) -> None:
    lab.write(DEMO)
    assert "`corral network create shared`" in lab.corral("up", "-d", code=1)[1]
    made = lab.corral("network", "create", "--subnet", "10.5.0.0/16", "--label", "a=b", "shared")[0].strip()
    assert lab.corral("volume", "create", "store")[0] == "store\n"
    assert lab.corral("volume", "create", "store")[0] == "store\n", "which is there already"
    lab.corral("up", "-d")
    found = inspect(lab, "network", "shared")
    assert (found["Id"], found["Project"], found["DeclaredBy"]) == (made, "", ["demo"])
    assert found["IPAM"] == {
        "Driver": "default",
        "Options": None,
        "Config": [{"Subnet": "10.5.0.0/16", "Gateway": "10.5.0.1"}],
    }
    assert found["Labels"] == {"a": "b"}
    assert [each["Name"] for each in found["Containers"].values()] == ["demo-web-1"]  # type: ignore[attr-defined]
    assert names(lab, "network") == ["demo_front", "shared"]
    assert names(lab, "network", "--filter", "label=a=b", "--filter", "name=hare") == ["shared"]
    assert names(lab, "volume") == ["demo_data", "store"]
    assert inspect(lab, "volume", "demo_data")["Labels"] == {
        "com.docker.compose.project": "demo",
        "com.docker.compose.volume": "data",
    }
    assert lab.corral("network", "ls", "-q")[0].splitlines()[1] == made[:12]
    assert lab.corral("ls", "-a", "--format", "json")[0].count("Name") == 1, "they are no project"


def test_what_is_needed_is_not_removed_and_named_by_whom(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("network", "create", "shared")
    lab.corral("volume", "create", "store")
    lab.corral("up", "-d")
    for words in (("network", "rm", "shared"), ("volume", "rm", "store")):
        assert "declared by project demo" in lab.corral(*words, code=1)[1]
    assert "`corral -p demo down` takes" in lab.corral("network", "rm", "demo_front", code=1)[1]
    assert "`corral -p demo down -v` takes" in lab.corral("volume", "rm", "demo_data", code=1)[1]
    lab.corral("stop")
    lab.corral("network", "prune", "-f")
    lab.corral("volume", "prune", "-f", "--all")
    assert (names(lab, "network"), names(lab, "volume")) == (["demo_front", "shared"], ["demo_data", "store"])
    lab.corral("down", "-v")
    assert (names(lab, "network"), names(lab, "volume")) == (["shared"], ["store"]), "they are not the project's"
    assert lab.corral("network", "rm", "shared")[0] == "shared\n"
    assert lab.corral("volume", "rm", "store")[0] == "store\n"
    assert (names(lab, "network"), names(lab, "volume")) == ([], [])
    eventually(lambda: "no projects" in lab.corral("daemon", "status")[0])
    assert [uid for uid in lab.engine.infos if not uid.startswith("image:")] == []


def test_they_outlive_the_daemon_and_are_mended(lab: Lab) -> None:
    lab.corral("network", "create", "shared")
    lab.corral("volume", "create", "store")
    lab.kill()
    for uid, info in list(lab.engine.infos.items()):
        if type(info).__name__ == "NetworkInfo":
            del lab.engine.infos[uid]  # a reboot
    lab.start()
    eventually(lambda: names(lab, "network") == ["shared"])
    lab.corral("network", "rm", "shared")
    lab.corral("volume", "rm", "store")


def test_create_takes_both_families_and_what_is_said_of_each(lab: Lab) -> None:
    ranges = ("--ip-range", "fd05::100/120", "--ip-range", "10.5.0.128/25")
    others = ("--gateway", "fd05::9", "--aux-address", "a=10.5.0.128", "--aux-address=b=10.5.0.129")
    lab.corral("network", "create", "--ipv6", *TWO_SUBNETS, *ranges, *others, "--attachable", "both")
    found = inspect(lab, "network", "both")
    assert (found["EnableIPv4"], found["EnableIPv6"]) == (True, True)
    assert found["IPAM"]["Config"] == [  # type: ignore[index]
        {"Subnet": "10.5.0.0/24", "Gateway": "10.5.0.1", "IPRange": "10.5.0.128/25"},
        {"Subnet": "fd05::/64", "Gateway": "fd05::9", "IPRange": "fd05::100/120"},
    ]
    config = next(info.config for info in lab.engine.infos.values() if isinstance(info, NetworkInfo))
    assert config.reserved == ("10.5.0.128", "10.5.0.129")
    lab.corral("network", "create", "--ipv4=false", "--ipv6=true", "six")
    found = inspect(lab, "network", "six")
    assert (found["EnableIPv4"], found["EnableIPv6"]) == (False, True)
    assert len(found["IPAM"]["Config"]) == 1  # type: ignore[index]
    lab.corral("network", "rm", "both", "six")


def test_they_are_shown_as_a_template_asks(lab: Lab) -> None:
    lab.corral("network", "create", "--internal", "--label", "tier=back", "--label", "a=b", "one")
    lab.corral("network", "create", "two")
    lab.corral("volume", "create", "--label", "a=b", "store")
    uid = inspect(lab, "network", "one")["Id"]

    def said(*words: str, code: int = 0) -> str:
        return lab.corral(*words, code=code)[0]

    form = "{{.Id}} {{.Internal}} {{.IPAM.Driver}} {{.Labels}} {{.Labels.tier}} {{json .Labels}}"
    assert said("network", "inspect", "-f", form, "one") == (
        f'{uid} true default map[a:b tier:back] back {{"a":"b","tier":"back"}}\n'
    )
    assert said("network", "inspect", "--format={{.Name}}:{{.Labels.tier}}", "one", "two", "none", code=1) == (
        "one:back\ntwo:<no value>\n"
    )
    assert (
        said("network", "inspect", "-f", "json", "one")
        == json.dumps([inspect(lab, "network", "one")], separators=(",", ":")) + "\n"
    )
    assert said("network", "ls", "--format", "{{.Name}}\\t{{.Internal}}") == "one\ttrue\ntwo\tfalse\n"
    assert said("network", "ls", "--format", "table {{.ID}}\\t{{.Name}}").split()[:3] == ["NETWORK", "ID", "NAME"]
    assert said("volume", "inspect", "-f", "{{.Driver}} {{.Options}} {{.UsedBy}}", "store") == "local <no value> []\n"
    assert said("volume", "ls", "--format", "table {{.Name}}").splitlines() == ["VOLUME NAME", "store"]
    assert json.loads(said("volume", "ls", "--format", "json"))["Name"] == "store"
    lab.corral("network", "rm", "one", "two")
    lab.corral("volume", "rm", "store")


def test_prune_takes_only_what_the_filters_leave(lab: Lab) -> None:
    for name, labels in {"a": ("x=1", "y"), "b": ("x=1",), "c": ()}.items():
        words = [word for label in labels for word in ("--label", label)]
        for kind in ("network", "volume"):
            lab.corral(kind, "create", *words, name)
    assert names(lab, "network", "--filter", "label=x", "--filter", "label=y") == ["a"], "all labels that are said"
    assert names(lab, "network", "--filter", "name=a", "--filter", "name=b") == ["a", "b"], "any of the names"
    for kind, every in (("network", ()), ("volume", ("--filter", "all=1"))):
        assert lab.corral(kind, "prune", "-f", *every, "--filter", "label=z")[0] == ""
        found = lab.corral(kind, "prune", "-f", *every, "--filter", "label=x=1", "--filter", "label!=y")[0]
        assert found.splitlines()[1:] == ["b"]
        assert names(lab, kind) == ["a", "c"]
        assert lab.corral(kind, "prune", "-f", *every, "--filter", "name=c")[0].splitlines()[1:] == ["c"]
    lab.corral("volume", "prune", "-f", "--filter", "name=a")
    assert names(lab, "volume") == ["a"], "a command made it, and -a was not said"
    lab.corral("volume", "rm", "a")
    lab.corral("network", "rm", "a")


def test_prune_takes_only_what_nobody_needs(lab: Lab) -> None:
    lab.write(DEMO)
    lab.corral("network", "create", "shared")
    lab.corral("network", "create", "unused")
    lab.corral("volume", "create", "store")
    lab.corral("volume", "create", "spare")
    lab.corral("up", "-d")
    assert "there is nobody to ask" in lab.corral("volume", "prune", code=1)[1]
    assert lab.corral("network", "prune", "-f")[0] == "Deleted Networks:\nunused\n"
    lab.corral("volume", "prune", "-f")
    assert names(lab, "volume") == ["demo_data", "spare", "store"]
    lab.corral("down")
    assert lab.corral("volume", "prune", "-f")[0] == "Deleted Volumes:\ndemo_data\n"
    assert lab.corral("volume", "prune", "-f", "-a")[0] == "Deleted Volumes:\nspare\nstore\n"


def test_a_broken_record_keeps_what_it_may_need(lab: Lab) -> None:
    lab.corral("volume", "create", "store")
    lab.stop()
    path = f"{lab.places.root}/projects/broken.json"
    with open(path, "w") as file:
        file.write("{")
    lab.start()
    assert "it may be needed: cannot restore project broken" in lab.corral("volume", "rm", "store", code=1)[1]
    lab.corral("volume", "prune", "-f", "-a")
    assert names(lab, "volume") == ["store"]


TWO_SUBNETS = ("--subnet", "10.5.0.0/24", "--subnet", "fd05::/64")
GATEWAYS = ("--gateway", "10.5.0.1", "--gateway", "10.5.0.2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("network", "create", "--subnet", "10.5.0.0/33", "n"), "networks.n.ipam"),
        (("network", "create", "--gateway", "10.5.0.1", "n"), "--gateway needs a --subnet"),
        (("network", "create", "-d", "overlay", "n"), "there is no driver overlay"),
        (("network", "create", "a/b"), "'a/b' is not a name"),
        (("network", "create", "there"), "a network is called there already"),
        (("network", "create", "--ipv4=false", "n"), "a network needs one of IPv4 and IPv6"),
        (("network", "create", "--ip-range", "10.5.0.0/28", "n"), "--ip-range needs a --subnet"),
        (("network", "create", "--aux-address", "a=10.5.0.1", "n"), "--aux-address needs a --subnet"),
        (("network", "create", "--subnet", "10.5.0.0/24", "--aux-address", "a=10.6.0.1", "n"), "10.6.0.1 is not in"),
        (("network", "create", *TWO_SUBNETS, "--gateway", "10.6.0.1", "n"), "--gateway 10.6.0.1 is in no --subnet"),
        (("network", "create", *TWO_SUBNETS, *GATEWAYS, "n"), "10.5.0.0/24 has 10.5.0.1 already"),
        (("network", "create", *TWO_SUBNETS, "n"), "a pool of IPv6 in a network without it"),
        (("network", "create", "--scope", "swarm", "n"), "--scope is not supported yet"),
        (("network", "prune", "-f", "--filter", "until=1h"), "cannot filter by 'until=1h'"),
        (("network", "inspect", "-f", "{{.Colour}}", "there"), "there is no field Colour"),
        (("network", "inspect", "-f", "{{range .Labels}}", "there"), "cannot use --format"),
        (("network", "ls", "--format", "{{.Size}}"), "there is no field Size"),
        (("network", "rm", "nosuch"), "no network is called nosuch"),
        (("network", "inspect", "nosuch"), "no network is called nosuch"),
        (("network", "ls", "--filter", "colour=red"), "cannot filter by 'colour=red'"),
        (("volume", "create", "../evil"), "'../evil' is not a name"),
        (("volume", "rm", "nosuch"), "no volume is called nosuch"),
        (("-p", "_machine", "ps"), "cannot use '_machine' as project name"),
    ],
)
def test_what_cannot_be_is_refused(lab: Lab, words: tuple[str, ...], said: str) -> None:
    lab.corral("network", "create", "--subnet", "10.6.0.0/24", "there")
    assert said in lab.corral(*words, code=1)[1]
    assert names(lab, "network") == ["there"]
    assert names(lab, "volume") == []
    lab.corral("network", "rm", "-f", "nosuch", "there")
