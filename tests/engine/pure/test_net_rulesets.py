"""The firewall's text, and what makes up the difference to the kernel's."""

import pathlib

import pytest

from engine.network import portmap, rulesets
from engine.network.portmap import Member, Published
from engine.types.parts import PortMap

INSTANCE = "0123abcd"
MEMBERS = (
    Member("cbaaaaaaaaaa", "10.10.0.0/24", "10.10.0.1"),
    Member("cbbbbbbbbbbb", "10.11.0.0/24", "10.11.0.1"),
    Member("cbcccccccccc", "10.12.0.0/24", "10.12.0.1", internal=True),
)
PUBLISHED = (
    Published("cbaaaaaaaaaa", "10.10.0.2", PortMap("0.0.0.0", 8080, 80)),
    Published("cbaaaaaaaaaa", "10.10.0.2", PortMap("127.0.0.1", 8081, 81)),
    Published("cbbbbbbbbbbb", "10.11.0.2", PortMap("192.0.2.1", 5353, 53, "udp")),
    Published("cbcccccccccc", "10.12.0.2", PortMap("0.0.0.0", 8082, 80)),
)
TEXTS = portmap.render(MEMBERS, PUBLISHED, INSTANCE, 10053)
JUMPS = portmap.jumps(INSTANCE)
GOLDEN = pathlib.Path(__file__).parent / "net_rules.txt"


def in_force(texts: dict[str, str] = TEXTS) -> dict[str, rulesets.Saved]:
    """What `iptables-save` would print."""
    built_in = {"raw": ["PREROUTING"], "filter": ["FORWARD", "INPUT"], "nat": ["PREROUTING", "OUTPUT", "POSTROUTING"]}
    lines = []
    for table, text in texts.items():
        head, *rest = text.splitlines()
        jumps = [f"-A {way.source} -j {way.target}" for way in JUMPS if way.table == table and not way.optional]
        lines += [head, *(f":{chain} ACCEPT [1:2]" for chain in built_in[table]), *rest[:-1], *jumps, "COMMIT"]
    return rulesets.parse("\n".join(lines))


def test_the_text() -> None:
    assert "".join(TEXTS.values()) == GOLDEN.read_text()


def test_the_same_in_any_order() -> None:
    assert portmap.render(reversed(MEMBERS), reversed(PUBLISHED), INSTANCE, 10053) == TEXTS


def test_chain_names_are_short_enough() -> None:
    for chains in portmap.CHAINS.values():
        assert all(len(portmap.chain_of(INSTANCE, chain)) <= 28 for chain in chains)


def test_what_is_in_force_is_left_alone() -> None:
    assert rulesets.differences(in_force(), TEXTS, JUMPS, INSTANCE) == []
    assert rulesets.transaction(in_force(), TEXTS, JUMPS, INSTANCE) == ""


def test_only_the_table_that_differs_is_swapped() -> None:
    fewer = portmap.render(MEMBERS, PUBLISHED[1:], INSTANCE, 10053)
    text = rulesets.transaction(in_force(), fewer, JUMPS, INSTANCE)
    assert text == fewer["nat"]


def test_from_nothing_the_guard_comes_first() -> None:
    text = rulesets.transaction({}, TEXTS, JUMPS, INSTANCE)
    assert [line for line in text.splitlines() if line.startswith(("*", "-I"))] == [
        "*raw",
        "-I PREROUTING 1 -j CORRAL-0123abcd-RAW",
        "*filter",
        "-I FORWARD 1 -j CORRAL-0123abcd-FWD",
        "-I INPUT 1 -j CORRAL-0123abcd-IN",
        "*nat",
        "-I PREROUTING 1 -j CORRAL-0123abcd-PRE",
        "-I OUTPUT 1 -j CORRAL-0123abcd-OUT",
        "-I POSTROUTING 1 -j CORRAL-0123abcd-POST",
    ]


def test_removal_takes_the_guard_last() -> None:
    text = rulesets.removal(in_force(), INSTANCE)
    assert [line for line in text.splitlines() if line.startswith("*")] == ["*nat", "*filter", "*raw"]
    assert "-D PREROUTING -j CORRAL-0123abcd-RAW" in text
    assert rulesets.removal(in_force(), "99999999") == ""


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("-s 10.0.0.1 -j DROP", "-s 10.0.0.1/32 -j DROP"),
        ("-p tcp --dport 80 -j DROP", "-p tcp -m tcp --dport 80 -j DROP"),
        (
            "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        ("-d 10.0.0.0/8 -i a -j DROP", "-i a -d 10.0.0.0/8 -j DROP"),
        ("! -i lo -j DROP", "! -i lo -j DROP"),
    ],
)
def test_spellings_of_one_rule(ours: str, theirs: str) -> None:
    assert rulesets.canonical(ours) == rulesets.canonical(theirs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("! -i lo -j DROP", "-i lo -j DROP"),
        ("-p tcp -m tcp --dport 80 -j DROP", "-p tcp -m tcp --sport 80 -j DROP"),
        ("-i a -j DROP", "-i a -j ACCEPT"),
        ("-s 10.0.0.0/8 -j DROP", "-d 10.0.0.0/8 -j DROP"),
    ],
)
def test_different_rules(one: str, other: str) -> None:
    assert rulesets.canonical(one) != rulesets.canonical(other)


OWN = """*nat
:PREROUTING ACCEPT [0:0]
:CORRAL-0a1b2c3d-DNAT - [0:0]
-A PREROUTING -j CORRAL-0a1b2c3d-DNAT
-A CORRAL-0a1b2c3d-DNAT -p tcp -j RETURN
COMMIT
"""
NEW = """*nat
:CORRAL-0a1b2c3d-DNAT - [0:0]
-A CORRAL-0a1b2c3d-DNAT -p udp -j RETURN
COMMIT
"""


def test_what_comes_of_new_rules_for_our_chains_is_known_without_asking() -> None:
    assert rulesets.only_replaces(NEW)
    after = rulesets.replaced(rulesets.parse(OWN), rulesets.parse(NEW))
    assert after == rulesets.parse(OWN.replace("-p tcp", "-p udp"))


@pytest.mark.parametrize("line", ["-I PREROUTING 1 -j X", "-A PREROUTING -j X", "-D PREROUTING -j X", "-X X"])
def test_what_comes_of_a_change_to_other_chains_is_asked(line: str) -> None:
    assert not rulesets.only_replaces(NEW.replace("COMMIT", f"{line}\nCOMMIT"))
