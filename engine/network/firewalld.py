"""Our bridges in a zone of firewalld's, where it runs.

firewalld refuses what is forwarded between interfaces whose zones do not say otherwise, in a table of its own, where an accept of
ours counts for nothing. So our bridges are put into its zone `trusted`, as netavark does with its subnets: our own rules decide
then. Only at run time: nothing of its configuration is changed. Where a reload forgets our bridges, we bring them back.

    <run>/firewalld.json     the bridges that we have put there
"""

import json
import logging
import os
import shutil
from collections.abc import Collection

import anyio

from engine import errors, programs
from engine.network import nftables
from engine.records import store

log = logging.getLogger(__name__)

ZONE = "trusted"
NAME, PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
ANSWER_S = 20.0


def is_there() -> bool:
    """firewalld's rules are in force."""
    return nftables.has_table("firewalld") and shutil.which("busctl") is not None


class Zone:
    """What of the zone is ours. Where firewalld does not run, nothing is done and nothing differs."""

    def __init__(self, run_directory: str) -> None:
        self._record = os.path.join(run_directory, "firewalld.json")
        self._whole = (0, frozenset[str]())  # a generation of nf_tables, and the bridges that were in it then

    async def put(self, bridges: Collection[str]) -> None:
        """See that these bridges are in it, and that no other that we put there is. Raises `EngineError`."""
        ours = self._ours()
        if not ours and not (bridges and is_there()):
            return
        have = await _interfaces() if is_there() else set()
        self._note({*ours, *bridges} if is_there() else ours)
        for bridge in sorted(set(bridges) - have):
            await _call("changeZoneOfInterface", "ss", ZONE, bridge)
        for bridge in sorted((ours - set(bridges)) & have):
            await _call("removeInterface", "ss", ZONE, bridge)
        self._note(set(bridges) if is_there() else set())

    async def missing(self, bridges: Collection[str]) -> list[str]:
        """Say in words which of these are not in it although firewalld runs. While nobody changes nf_tables: microseconds."""
        now = nftables.generation(), frozenset(bridges)
        if not bridges or self._whole == now:
            return []
        gone = set(bridges) - await _interfaces() if is_there() else set()
        if not gone:
            self._whole = now
        return [f"{bridge} is not in firewalld's zone {ZONE}" for bridge in sorted(gone)]

    def _ours(self) -> set[str]:
        try:
            with open(self._record, encoding="utf-8") as file:
                return set(json.load(file))
        except FileNotFoundError:
            return set()
        except (ValueError, TypeError) as error:
            raise errors.RecordError(f"cannot read {self._record}: {error}") from error

    def _note(self, bridges: set[str]) -> None:
        if bridges:
            store.replace(self._record, json.dumps(sorted(bridges)).encode())
        elif os.path.exists(self._record):
            os.unlink(self._record)


async def _interfaces() -> set[str]:
    said = await _call("getInterfaces", "s", ZONE)
    try:
        return {str(name) for name in json.loads(said)["data"][0]}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise errors.EngineError(f"cannot read firewalld's zone {ZONE}: {said[:100]!r}") from error


async def _call(method: str, *arguments: str) -> str:
    """By D-Bus, and without starting firewalld if it has just gone."""
    command = ["busctl", "--auto-start=no", "--json=short", "call", NAME, PATH, f"{NAME}.zone", method, *arguments]
    try:
        with anyio.fail_after(ANSWER_S):
            done = await programs.run(command)
    except (OSError, TimeoutError) as error:
        raise errors.EngineError(f"cannot talk to firewalld: {method}: {error}") from error
    if done.code:
        raise errors.EngineError(f"cannot talk to firewalld: {method} {' '.join(arguments[1:])}: {done.words}")
    return done.out
