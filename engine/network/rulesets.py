"""Comparing what is asked of the firewall with what `iptables-save` says, and the text that makes up the difference. Pure.

Only our own chains and the jumps into them are looked at and touched. A jump is wanted once; where in the built-in chain it
stands after it was inserted (at the top) is not fought about: an administrator who puts a rule before ours means it, and two
programs that both insist on the first place would never come to rest.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.network.portmap import TABLES, Jump, chain_of

Rule = tuple[tuple[str, ...], ...]
"""A rule as its sorted options: the same for all spellings of one rule."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What `iptables-save` printed of one table: the rules of every chain, and each chain's policy ("-": one of somebody's
    own, without policy)."""

    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)


def parse(text: str) -> dict[str, Saved]:
    """Read the text of `iptables-save` or of `render`, by table."""
    tables: dict[str, Saved] = {}
    policies: dict[str, str] = {}
    rules: dict[str, list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table, policies, rules = line[1:].strip(), {}, {}
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            policies[name] = policy
            rules.setdefault(name, [])
        elif line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            rules.setdefault(name, []).append(rule)
        elif line.startswith("COMMIT"):
            tables[table] = Saved(policies, {name: tuple(chain) for name, chain in rules.items()})
    return tables


def canonical(rule: str) -> Rule:
    """Read one rule (without its chain) so that spellings do not matter: order of options, implied matches, masks."""
    options: list[tuple[str, ...]] = []
    negated = ""
    for token in shlex.split(rule) if '"' in rule else rule.split():
        if token == "!":
            negated = "!"
        elif token.startswith("-"):
            options.append((negated + token,))
            negated = ""
        elif options:
            options[-1] = (*options[-1], token)
    return tuple(sorted(_plain(option) for option in options if option[0] != "-m"))


def _plain(option: tuple[str, ...]) -> tuple[str, ...]:
    match option:
        case ("-s" | "-d" | "!-s" | "!-d" as name, address) if "/" not in address:
            return (name, f"{address}/{128 if ':' in address else 32}")
        case ("--ctstate" | "!--ctstate" as name, states):
            return (name, ",".join(sorted(states.split(","))))
        case _:
            return option


def differences(
    saved: Mapping[str, Saved], wanted: Mapping[str, str], jumps: Iterable[Jump], instance: str
) -> list[str]:
    """Say in words what is not as asked; nothing where all is in force."""
    found = []
    ways = list(jumps)
    for table, text in wanted.items():
        have, want = saved.get(table, Saved()), parse(text)[table]
        for chain in sorted(want.policies.keys() | _ours(have, instance)):
            if chain not in have.policies:
                found.append(f"chain {chain} of table {table} is gone")
            elif chain not in want.policies:
                found.append(f"chain {chain} of table {table} is left over")
            elif have.rules[chain] != want.rules[chain] and _canonical_all(have, chain) != _canonical_all(want, chain):
                found.append(f"chain {chain} of table {table} was changed")
        for way, count in _counts(have, table, ways, instance).items():
            if count != 1:
                found.append(
                    f"{'no' if count == 0 else count} jumps from {way.source} of table {table} to {way.target}"
                )
        found += [
            f"a jump from {chain} of table {table}: {rule}" for chain, rule in _strays(have, table, ways, instance)
        ]
    return found


def guard_stands(saved: Mapping[str, Saved], wanted: Mapping[str, str], jumps: Iterable[Jump], instance: str) -> bool:
    """Whether the guard of `raw` is wholly in force: without it nothing may be routed to 127.0.0.0/8."""
    return not differences(saved, {"raw": wanted["raw"]}, [way for way in jumps if way.table == "raw"], instance)


def transaction(saved: Mapping[str, Saved], wanted: Mapping[str, str], jumps: Iterable[Jump], instance: str) -> str:
    """Write the text for `iptables-restore --noflush` that puts `wanted` in force: each table in one step, the first before
    the next. A table that is as asked is left out; "" where all are."""
    ways = list(jumps)
    parts = []
    for table in [table for table in TABLES if table in wanted]:
        have = saved.get(table, Saved())
        if not differences(saved, {table: wanted[table]}, [way for way in ways if way.table == table], instance):
            continue
        head = wanted[table].removesuffix("COMMIT\n").splitlines()
        left_over = sorted(_ours(have, instance) - parse(wanted[table])[table].policies.keys())
        head[1:1] = [f":{chain} - [0:0]" for chain in left_over]
        for chain, rule in _strays(have, table, ways, instance):
            head.append(f"-D {chain} {rule}")
        for way, count in _counts(have, table, ways, instance).items():
            head += _jump_lines(way, count)
        parts.append("\n".join([*head, *(f"-X {chain}" for chain in left_over), "COMMIT", ""]))
    return "".join(parts)


def only_replaces(text: str) -> bool:
    """Whether a transaction does nothing but give chains of ours other rules, so that `replaced` says what comes of it."""
    lines = text.splitlines()
    chains = {line[1:].split()[0] for line in lines if line.startswith(":")}
    return all(line.split()[1] in chains if line.startswith("-A ") else not line.startswith("-") for line in lines)


def replaced(saved: Mapping[str, Saved], changed: Mapping[str, Saved]) -> dict[str, Saved]:
    """What is there after these chains were given these rules."""
    found = dict(saved)
    for table, chains in changed.items():
        have = saved.get(table, Saved())
        found[table] = Saved(have.policies | chains.policies, have.rules | chains.rules)
    return found


def removal(saved: Mapping[str, Saved], instance: str) -> str:
    """Write the text that takes every chain of ours and every jump into them away, the guard last; "" where there are none."""
    parts = []
    for table in reversed(TABLES):
        have = saved.get(table, Saved())
        ours = sorted(_ours(have, instance))
        if ours:
            strays = [f"-D {chain} {rule}" for chain, rule in _strays(have, table, [], instance)]
            chains = [f":{chain} - [0:0]" for chain in ours]
            parts.append("\n".join([f"*{table}", *chains, *strays, *(f"-X {chain}" for chain in ours), "COMMIT", ""]))
    return "".join(parts)


def others(saved: Mapping[str, Saved], instance: str) -> dict[str, Saved]:
    """What is left of each table without chains of ours and jumps into them: what `removal` leaves."""
    found = {}
    for table, have in saved.items():
        ours, jumps = _ours(have, instance), set(_strays(have, table, [], instance))
        found[table] = Saved(
            {chain: policy for chain, policy in have.policies.items() if chain not in ours},
            {
                chain: tuple(rule for rule in rules if (chain, rule) not in jumps)
                for chain, rules in have.rules.items()
                if chain not in ours
            },
        )
    return found


def _ours(have: Saved, instance: str) -> set[str]:
    return {chain for chain in have.policies if chain.startswith(chain_of(instance, ""))}


def _canonical_all(have: Saved, chain: str) -> list[Rule]:
    return [canonical(rule) for rule in have.rules.get(chain, ())]


def _rule_of(way: Jump) -> Rule:
    return (("-j", way.target),)


def _counts(have: Saved, table: str, ways: Iterable[Jump], instance: str) -> dict[Jump, int]:
    """How often each wanted jump is there. One from a chain that need not exist is not wanted where that does not."""
    return {
        way: _canonical_all(have, way.source).count(_rule_of(way))
        for way in ways
        if way.table == table and (not way.optional or way.source in have.policies)
    }


def _strays(have: Saved, table: str, ways: Iterable[Jump], instance: str) -> list[tuple[str, str]]:
    """Rules in others' chains that lead into ours and are no wanted jump."""
    wanted = {(way.source, _rule_of(way)) for way in ways if way.table == table}
    ours = _ours(have, instance)
    return [
        (chain, rule)
        for chain, rules in have.rules.items()
        if chain not in ours
        for rule in rules
        if chain_of(instance, "") in rule and _leads_into(rule, ours) and (chain, canonical(rule)) not in wanted
    ]


def _leads_into(rule: str, chains: set[str]) -> bool:
    return any(option[0] in ("-j", "-g") and option[-1] in chains for option in canonical(rule))


def _jump_lines(way: Jump, count: int) -> list[str]:
    if count == 0:
        return [f"-A {way.source} -j {way.target}" if way.last else f"-I {way.source} 1 -j {way.target}"]
    return [f"-D {way.source} -j {way.target}"] * (count - 1)
