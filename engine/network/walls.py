"""What others have in nf_tables that stops our packets although our own tables accept them: every base chain of a hook is asked,
and an accept in one does not undo a drop in another.

Best effort, since a rule's own words are not known here. A rule that names an interface which is no bridge of ours is not about
us, nor is one for packets that belong to no connection; any other that drops or rejects what is forwarded may be. Of what comes
in for this machine only a drop of all the rest counts: containers ask the dns process there. A chain that lets bridges of ours
pass is believed to let all of it pass.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from engine.network import netlink, nftables
from engine.network.nftables import FAMILIES, HEADER, NF_ACCEPT

BRIDGES = b"cb"  # what the names of ours begin with
NF_INET_LOCAL_IN, NF_INET_FORWARD = 1, 2  # linux/netfilter.h
FIREWALLD = "firewalld"  # its rules let our bridges pass: engine.network.firewalld
OF_IPTABLES = ("filter", "raw", "mangle", "security")
"""Its own tools show what is in these, and where ours come first."""

# linux/netfilter/nf_tables.h
NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 2, 4
NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 2
NFTA_IMMEDIATE_DATA, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN = 2, 1, 2, 1, 2
NFTA_META_KEY, NFTA_CMP_OP, NFTA_CMP_DATA, NFTA_CT_KEY, NFTA_BITWISE_MASK = 2, 2, 3, 2, 4
NFT_CMP_EQ, NFT_CT_STATE, NF_CT_STATE_INVALID = 0, 0, 1
NFT_JUMP, NFT_GOTO, NF_DROP = -3, -4, 0
CHANGES_NOTHING = ("counter", "log", "limit")


class About(Enum):
    """Which packets a rule is for, as far as we are concerned."""

    ALL = auto()
    SOME = auto()
    OURS = auto()  # what comes from bridges of ours, or goes there
    OTHERS = auto()


class Rule(NamedTuple):
    """`to`: the chain that it goes to."""

    about: About
    drops: bool = False
    accepts: bool = False
    to: str = ""


Rules = Mapping[str, list[Rule]]
"""By the chain they are in."""


def in_the_way(*, ipv6: bool = False) -> list[str]:
    """Say which chains of others may stop packets of one family."""
    found = []
    tables: dict[tuple[int, str], Rules] = {}
    for body in nftables.all_chains():
        fields = dict(netlink.attributes(body, HEADER.size))
        at = dict(netlink.attributes(fields.get(nftables.NFTA_CHAIN_HOOK, b""), 0))
        hook = _number(at.get(nftables.NFTA_HOOK_HOOKNUM, b"\xff"))
        table, name = (nftables.text(fields[key]) for key in (nftables.NFTA_CHAIN_TABLE, nftables.NFTA_CHAIN_NAME))
        if hook not in (NF_INET_LOCAL_IN, NF_INET_FORWARD) or not _is_of_others(body[0], table, ipv6):
            continue
        if (body[0], table) not in tables:
            tables[body[0], table] = rules_of(nftables.rules(body[0], table))
        is_closed = _number(fields[nftables.NFTA_CHAIN_POLICY]) != NF_ACCEPT
        if table == FIREWALLD and not is_closed:
            continue
        what = words(name, tables[body[0], table], forward=hook == NF_INET_FORWARD, is_closed=is_closed)
        found += [f"nf_tables: {FAMILIES[body[0]]} {table}/{name} {what}"] if what else []
    return found


def words(chain: str, rules: Rules, *, forward: bool, is_closed: bool) -> str:
    """What this base chain does to our packets; "" if it lets them pass. `is_closed`: its policy is to drop."""
    count, lets_pass = _stops(chain, rules, forward)
    for_names = "" if forward else ": containers ask this machine for names"
    if lets_pass:
        return ""
    if is_closed:
        return f"drops what it does not know{for_names}"
    if count and forward:
        return f"has rules that drop or reject what it forwards ({count})"
    return f"drops or rejects all the rest{for_names}" if count else ""


def rules_of(bodies: Iterable[bytes]) -> Rules:
    found: dict[str, list[Rule]] = {}
    for body in bodies:
        fields = dict(netlink.attributes(body, HEADER.size))
        expressions = [
            (nftables.text(each.get(NFTA_EXPR_NAME, b"")), dict(netlink.attributes(each.get(NFTA_EXPR_DATA, b""), 0)))
            for each in (
                dict(netlink.attributes(element, 0))
                for _, element in netlink.attributes(fields.get(NFTA_RULE_EXPRESSIONS, b""), 0)
            )
        ]
        found.setdefault(nftables.text(fields[NFTA_RULE_CHAIN]), []).append(_rule(expressions))
    return found


def _is_of_others(family: int, table: str, ipv6: bool) -> bool:
    own = "ip6" if ipv6 else "ip"
    return FAMILIES.get(family) == "inet" or (FAMILIES.get(family) == own and table not in OF_IPTABLES)


def _stops(chain: str, rules: Rules, forward: bool) -> tuple[int, bool]:
    """How many rules may stop us on the way through this chain, and whether one lets us pass before the end. The kernel
    takes no chains that lead back."""
    count = 0
    for rule in rules.get(chain, ()):
        if rule.about is About.OTHERS:
            continue
        if rule.accepts and rule.about in (About.OURS, About.ALL):
            return count, True
        if rule.drops:
            count += forward or rule.about is not About.SOME
            if rule.about is About.ALL:
                break  # what follows is for nobody
        elif rule.to:
            more, lets_pass = _stops(rule.to, rules, forward)
            count += more if rule.about is not About.SOME or forward else 0
            if lets_pass and rule.about is not About.SOME:
                return count, True
    return count, False


Expressions = list[tuple[str, dict[int, bytes]]]


def _rule(expressions: Expressions) -> Rule:
    about, asked = About.ALL, ("", -1)  # what was loaded last, and which
    rule = Rule(about)
    for name, fields in expressions:
        match name:
            case "meta":
                asked = (name, _number(fields.get(NFTA_META_KEY, b"\xff")))
            case "ct":
                asked = (name, _number(fields.get(NFTA_CT_KEY, b"\xff")))
            case "bitwise" if asked == ("ct", NFT_CT_STATE):
                is_invalid = _value(fields.get(NFTA_BITWISE_MASK, b""))[:1] == bytes([NF_CT_STATE_INVALID])
                about = _narrowed(about, About.OTHERS if is_invalid else About.SOME)
            case "cmp":
                about = _narrowed(about, _compared(asked, fields))
            case "reject":
                rule = rule._replace(drops=True)
            case "immediate":
                rule = _ending(rule, fields)
            case _ if name not in CHANGES_NOTHING:
                about = _narrowed(about, About.SOME)
    return rule._replace(about=about)


def _narrowed(had: About, now: About) -> About:
    """Of two conditions, both of which are to hold."""
    if About.OTHERS in (had, now):
        return About.OTHERS
    if had is About.ALL:
        return now
    return had if now is About.ALL or had is now else About.SOME


def _compared(asked: tuple[str, int], fields: dict[int, bytes]) -> About:
    is_equal = _number(fields.get(NFTA_CMP_OP, b"")) == NFT_CMP_EQ
    value = _value(fields.get(NFTA_CMP_DATA, b""))
    match asked:
        case "meta", (6 | 7):  # NFT_META_IIFNAME, NFT_META_OIFNAME
            name = value.rstrip(b"\0")  # of "cb+" only these letters are compared
            is_ours = name.startswith(BRIDGES) or (BRIDGES.startswith(name) and value == name)
            if is_equal:
                return About.OURS if is_ours else About.OTHERS
            return About.SOME if is_ours else About.ALL
        case "meta", (4 | 5):  # NFT_META_IIF, NFT_META_OIF: a bridge of ours has another one each time
            return About.OTHERS if is_equal else About.ALL
        case "ct", 0:  # NFT_CT_STATE: the mask has said which
            return About.ALL
    return About.SOME


def _ending(rule: Rule, fields: dict[int, bytes]) -> Rule:
    data = dict(netlink.attributes(fields.get(NFTA_IMMEDIATE_DATA, b""), 0))
    if NFTA_DATA_VERDICT not in data:
        return rule
    verdict = dict(netlink.attributes(data[NFTA_DATA_VERDICT], 0))
    code = int.from_bytes(verdict.get(NFTA_VERDICT_CODE, b"\xff\xff\xff\xff"), "big", signed=True)
    to = nftables.text(verdict.get(NFTA_VERDICT_CHAIN, b"")) if code in (NFT_JUMP, NFT_GOTO) else ""
    return rule._replace(drops=code == NF_DROP, accepts=code == NF_ACCEPT, to=to)


def _value(data: bytes) -> bytes:
    return dict(netlink.attributes(data, 0)).get(NFTA_DATA_VALUE, b"")


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")
