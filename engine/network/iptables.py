"""The machine's own `iptables`, found and run. Nothing here knows what the rules mean.

There are two flavours, nf_tables and legacy, with tables of their own; both see every packet, and a drop in one is not undone by
an accept in the other. As Docker does, we take the one that the machine's `iptables` is, and say so where the other one has
rules that matter.
"""

import functools
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine import errors, programs
from engine.network import rulesets, walls
from engine.network.rulesets import Saved

log = logging.getLogger(__name__)

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
LOCK_WAIT_S = 10
"""How long to wait for another program that holds the lock of xtables."""
HINT = "install the package `iptables`"


class Flavour(StrEnum):
    NFT = "nf_tables"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class Iptables:
    """The programs of one flavour."""

    flavour: Flavour
    restore_path: str
    save_path: str

    async def save(self) -> dict[str, Saved]:
        """Read all tables. Costs one process, about 5 ms; reads nothing into the kernel that is not there."""
        return rulesets.parse(await _run([self.save_path], ""))

    async def restore(self, text: str) -> None:
        """Put the text in force, table by table, each in one step; stops at the first table that is refused."""
        await _run([self.restore_path, "--noflush", "--wait", str(LOCK_WAIT_S)], text)


def find(program: str = "iptables") -> Iptables:
    """Find the machine's iptables. Raises `EngineError` where there is none."""
    path = shutil.which(program, path=PATH)
    restore, save = (shutil.which(f"{program}-{verb}", path=PATH) for verb in ("restore", "save"))
    if not (path and restore and save):
        raise errors.EngineError(f"cannot set up networks: there is no {program} on this machine ({HINT})")
    return Iptables(_flavour_of(path), restore, save)


@functools.cache
def _flavour_of(path: str) -> Flavour:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    # before 1.8 there was one flavour and nothing was said about it
    return Flavour.NFT if "nf_tables" in done.stdout else Flavour.LEGACY


async def _run(command: list[str], text: str) -> str:
    log.debug("%s\n%s", " ".join(command), text)
    try:
        done = await programs.run(command, text)
    except OSError as error:
        raise errors.EngineError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.code:
        raise errors.EngineError(f"cannot set the firewall: {os.path.basename(command[0])}: {done.words or done.code}")
    return done.out


# ------------------------------------------------------------------------------------------------------- the others


async def obstacles(used: Iptables, *, ipv6: bool = False) -> tuple[str, ...]:
    """Say what rules of others may stop our packets of one family although our own tables accept them."""
    found = walls.in_the_way(ipv6=ipv6)
    base = "ip6tables" if ipv6 else "iptables"
    other = f"{base}-legacy" if used.flavour is Flavour.NFT else f"{base}-nft"
    if used.flavour is Flavour.LEGACY or _legacy_tables(ipv6=ipv6):
        try:
            found += _obstacles_in(other, await find(other).save())
        except errors.EngineError:
            log.debug("%s cannot be asked", other)
    return tuple(found)


def _obstacles_in(program: str, saved: Mapping[str, Saved]) -> list[str]:
    found = []
    for table, chain in (("raw", "PREROUTING"), ("filter", "FORWARD")):
        have = saved.get(table, Saved())
        if have.policies.get(chain) == "DROP":
            found.append(f"{program}: policy DROP of {chain} in table {table}")
        if have.rules.get(chain):
            found.append(f"{program}: rules in {chain} of table {table}: {'; '.join(have.rules[chain][:3])}")
    if saved.get("filter", Saved()).policies.get("INPUT") == "DROP":
        found.append(f"{program}: policy DROP of INPUT in table filter: containers ask this machine for names")
    return found


def _legacy_tables(*, ipv6: bool) -> list[str]:
    """Legacy tables in use. Asking `iptables-legacy-save` would make them."""
    try:
        with open(f"/proc/net/{'ip6' if ipv6 else 'ip'}_tables_names", encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []
