"""Which rules of others in nf_tables stop what is ours is told, and which do not is not."""

import pytest

from engine.network import walls
from tests.engine.host_namespace import Host

pytestmark = pytest.mark.root
FORWARD = "add table inet t; add chain inet t c {{ type filter hook forward priority 0; policy {}; }}; "
INPUT = "add table inet t; add chain inet t c {{ type filter hook input priority 0; policy {}; }}; "
OPEN, CLOSED = FORWARD.format("accept"), FORWARD.format("drop")
IN_OPEN, IN_CLOSED = INPUT.format("accept"), INPUT.format("drop")
NAMES = ": containers ask this machine for names"
TO_D = "add chain inet t d; add rule inet t c jump d; add rule inet t d "
DROPS = "has rules that drop or reject what it forwards"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (OPEN, ""),
        (OPEN + "add rule inet t c counter drop", f"{DROPS} (1)"),
        (OPEN + "add rule inet t c reject with icmpx type admin-prohibited", f"{DROPS} (1)"),
        (OPEN + "add rule inet t c ip saddr 10.0.0.0/8 drop; add rule inet t c tcp dport 80 reject", f"{DROPS} (2)"),
        (OPEN + TO_D + "log drop", f"{DROPS} (1)"),
        (OPEN + 'add rule inet t c iifname != "eth0" drop', f"{DROPS} (1)"),
        (OPEN + 'add rule inet t c oifname "cb*" drop', f"{DROPS} (1)"),
        (OPEN + 'add rule inet t c oifname "c*" drop', f"{DROPS} (1)"),
        (OPEN + 'add rule inet t c iifname "virbr0" reject; add rule inet t c oifname "virbr*" drop', ""),
        (OPEN + 'add rule inet t c oif lo drop; add rule inet t c oifname "c" drop', ""),
        (OPEN + "add rule inet t c ct state invalid drop", ""),
        (OPEN + "add rule inet t c ct state established,related accept; add rule inet t c drop", f"{DROPS} (1)"),
        (OPEN + "add rule inet t c accept; add rule inet t c drop", ""),
        (CLOSED, "drops what it does not know"),
        (CLOSED + 'add rule inet t c iifname "eth0" accept', "drops what it does not know"),
        (CLOSED + 'add rule inet t c iifname "cb*" accept; add rule inet t c oifname "cb*" accept', ""),
        (CLOSED + TO_D + 'iifname "cb*" accept', ""),
        (IN_OPEN + "add rule inet t c tcp dport 22 drop; add rule inet t c ip saddr 10.0.0.1 drop", ""),
        (IN_OPEN + "add rule inet t c tcp dport 22 accept; add rule inet t c drop", f"drops or rejects all the rest{NAMES}"),
        (IN_CLOSED + "add rule inet t c tcp dport 22 accept", f"drops what it does not know{NAMES}"),
        (IN_CLOSED + 'add rule inet t c iifname "cb*" udp dport 53 accept', f"drops what it does not know{NAMES}"),
        (IN_CLOSED + 'add rule inet t c iifname "cb*" accept', ""),
    ],
)  # fmt: skip
def test_a_table_of_both_families(host: Host, rules: str, said: str) -> None:
    host.sh(f"nft '{rules}'")
    for ipv6 in (False, True):
        assert walls.in_the_way(ipv6=ipv6) == ([f"nf_tables: inet t/c {said}"] if said else [])


def test_a_table_of_one_family_is_told_for_that_one(host: Host) -> None:
    host.sh("nft '" + CLOSED.replace("inet", "ip6") + "'")
    assert walls.in_the_way() == []
    assert walls.in_the_way(ipv6=True) == ["nf_tables: ip6 t/c drops what it does not know"]


def test_what_iptables_has_made_and_what_firewalld_refuses_to_other_zones_is_not_told(host: Host) -> None:
    host.sh("iptables-nft -A FORWARD -j DROP; iptables-nft -P INPUT DROP")
    host.sh(
        "nft '"
        + (OPEN + "add rule inet t c reject")
        .replace(" t c ", " firewalld c ")
        .replace("table inet t;", "table inet firewalld;")
        + "'"
    )
    assert walls.in_the_way() == []
