"""The figures of the labs as tables, for the terminal and for docs/benchmarks.md."""

import datetime
from collections.abc import Iterator

import byhand
import lablife
import processes
from lablife import Found
from measuring import median
from report import machine, spread

CORRAL = "corral"
HEAD = ("", "corral", "by hand", "times", "goal")
SLOWER_MOST, LARGER_MOST = 1.3, 1.1
BUSY_MOST_PERCENT = 3.0
DOWN_MOST_S = 5.0
Line = tuple[str, str, str, str, str]


def tables(lab: str, found: Found) -> str:
    """For the terminal."""
    lines = [(lab, *HEAD[1:]), *_lines(found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([*rows, _below(found, idle_words="")])


def section(lab: str, found: Found, idle_s: float) -> str:
    """For the document."""
    table = "\n".join(f"| {' | '.join(line)} |" for line in (HEAD, ("---",) * len(HEAD), *_lines(found)))
    return f"### {lab}: {len(found.nodes)} nodes\n\n{table}\n\n{_below(found, idle_words=f', over {idle_s:g} s')}"


def _lines(found: Found) -> Iterator[Line]:
    hand = fastest(found)
    mine, theirs = found.values["usable", CORRAL], found.values["usable", hand]
    yield ("usable, from nothing", spread(mine, "s"), spread(theirs, "s"), *_within(mine, theirs, SLOWER_MOST))
    mine, theirs, rest = _mb(found, "memory", CORRAL), _mb(found, "memory", hand), _mb(found, "at rest", CORRAL)
    added = [taken - before for taken, before in zip(mine, rest, strict=True)]
    yield ("memory that comes with it", spread(added, "MB"), spread(theirs, "MB"), *_within(added, theirs, LARGER_MOST))
    yield (
        "and corral at rest, once for all",
        spread(rest, "MB"),
        "",
        f"{median(mine) / median(theirs):.2f} in all",
        "",
    )
    busy = found.values["busy", CORRAL]
    yield (
        "processors, idle",
        spread(busy, "%"),
        "",
        "",
        _verdict(f"under {BUSY_MOST_PERCENT:g} % of one", median(busy) < BUSY_MOST_PERCENT),
    )
    down, again = found.values["down", CORRAL], found.values["again", CORRAL]
    yield "`down`", spread(down, "s"), "", "", _verdict(f"under {DOWN_MOST_S:g} s", median(down) < DOWN_MOST_S)
    orderly = sum(code in lablife.ORDERLY for _, code in found.ended)
    everyone = len(found.nodes) * len(down)
    yield (
        "ended by SIGTERM, of all",
        f"{orderly} of {everyone}",
        "",
        "",
        _verdict("all", orderly == everyone == len(found.ended)),
    )
    first = median(found.values["usable", CORRAL])
    yield (
        "usable again, data kept",
        spread(again, "s"),
        "",
        "",
        _verdict("faster than the first", median(again) < first),
    )


def fastest(found: Found) -> str:
    """The manner in which the by-hand start was usable first: what corral is compared with."""
    came_up = [manner for manner in byhand.MANNERS if found.values["usable", manner]]
    if not came_up:
        raise SystemExit(f"nothing to compare with: {found.failures}")
    return min(came_up, key=lambda manner: median(found.values["usable", manner]))


def _within(mine: list[float], theirs: list[float], most: float) -> tuple[str, str]:
    times = median(mine) / median(theirs)
    return f"{times:.2f}", _verdict(f"{most:g} times", times <= most)


def _verdict(goal: str, reached: bool) -> str:
    return f"{goal}: {'reached' if reached else 'MISSED'}"


def _mb(found: Found, what: str, who: str) -> list[float]:
    return [kb / 1024 for kb in found.values[what, who]]


def _of_kinds(found: Found, what: str) -> dict[str, list[float]]:
    """Mapping from kind of process to its values."""
    return {
        key.removeprefix(f"{what} "): values for (key, _), values in found.values.items() if key.startswith(f"{what} ")
    }


def _below(found: Found, *, idle_words: str) -> str:
    hand = fastest(found)
    busy = {kind: f"{median(values):.2f} %" for kind, values in _of_kinds(found, "busy").items()}
    taken = {kind: f"{median(values) / 1024:.1f} MB" for kind, values in _of_kinds(found, "memory").items()}
    own = sum(median(values) for kind, values in _of_kinds(found, "memory").items() if kind != processes.NODES) / 1024
    rising = {kind: f"{median(values):.2f} s" for kind, values in _of_kinds(found, "coming up").items()}
    lines = [
        f"- by hand: {', '.join(_manner(found, manner, hand) for manner in byhand.MANNERS)}",
        f"- memory: the nodes' processes {taken.pop(processes.NODES)}, corral's own {own:.1f} MB ({_listed(taken)})",
        f"- processors while it comes up: {_listed(rising)}",
        f"- processors while idle{idle_words}: {_listed(busy)}",
        *(f"- exit code {code} at `down`: {name}" for name, code in found.ended if code not in lablife.ORDERLY),
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d}; load of the machine before each round: {', '.join(f'{each:.1f}' for each in found.load)}",
    ]
    return "\n".join(lines)


def _manner(found: Found, manner: str, hand: str) -> str:
    if manner in found.failures:
        return f"{manner} it does not come up ({found.failures[manner]})"
    compared = ", which is compared with" if manner == hand else ""
    return f"{manner} {spread(found.values['usable', manner], 's')}{compared}"


def _listed(shares: dict[str, str]) -> str:
    return ", ".join(f"{kind} {share}" for kind, share in sorted(shares.items()))


def document(sections: dict[str, str]) -> str:
    """Below the heading "Labs". `sections`: by lab, of this run and of earlier ones."""
    return INTRODUCTION.format(
        machine=machine(),
        settle_s=lablife.SETTLE_S,
        slower=SLOWER_MOST,
        larger=LARGER_MOST,
        sections="\n\n".join(sections[lab].strip() for lab in sorted(sections)),
    )


INTRODUCTION = """\
`make bench-labs` writes this part: each lab of [labs.md](labs.md), as `corral init` makes it, by corral and by hand in one run. Each cell says
min / median / max of its rounds; "times" says how much more corral takes. Where something was MISSED, it says so.

{sections}

### How the labs are measured

- On {machine}. All in one network, mount and pid namespace made for the run.
- By hand: shell scripts made of the same compose.yaml start the same commands, with the same configuration, environment, class archives, limits
  of memory and processors, and empty volumes on the same disk. A network, mount, uts and cgroup namespace for each node, one bridge, all names
  in /etc/hosts. No daemon, no DNS, no init, no restart, no published port, no network for the next lab, and what a node writes beside its volumes is in memory.
- There are two manners of it, and the faster one counts: "in order", where a node begins when those are usable that it depends on, and
  "all at once", where each begins at the very start, after its formatting if it has any.
- Usable: the healthcheck of every node has succeeded. By hand, each is asked every 250 ms by a loop within its node, which ends with the first success.
  Corral: the time of `up -d --wait`, a whole command; its daemon runs before.
- Programs are read into memory before the first start, and each start and `down` begins when the processors are at rest.
- Memory is the sum of proportional set sizes (PSS), {settle_s:g} s after the lab is usable. What comes with a lab is what runs in its containers, and by
  how much corral's own processes have grown. At rest, before, there are those that all projects of the machine share; "in all" counts them, too.
- Processors: user and system time of corral's own processes but the command, and of all that their children took: "shims' children" are
  the healthchecks, and while it comes up the formatting. What a daemon of the lab takes to answer a healthcheck is not in it.
- Then `down`, while `events` is listened to for the exit codes, and `up -d --wait` again with the volumes as they are.
- The goals: usable within {slower:g} times the time by hand, and {larger:g} times its memory.
"""
