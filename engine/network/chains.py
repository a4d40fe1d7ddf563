"""Our chains of one family in the kernel: swapped, compared with what was asked, taken away. What they mean is
`engine.network.portmap`'s; which settings go with them is `engine.network.firewall`'s.

    <run>/firewall.json, firewall6.json     the flavour of iptables that we use until we leave, and which tables were there before
                                            us (nf_tables: the others are removed at the end)
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from engine import errors
from engine.network import iptables, nftables, portmap, rulesets
from engine.network.iptables import Flavour, Iptables
from engine.network.portmap import Jump
from engine.network.rulesets import Saved
from engine.records import store, trusted

log = logging.getLogger(__name__)

Texts = Mapping[str, str]
"""What is asked of our chains, by table."""

Asked = tuple[Texts, tuple[Jump, ...]]


class Chains:
    """One corral's chains of one family. `program`: which iptables. Not for two callers at once."""

    def __init__(self, instance: str, record: str, *, program: str, ipv6: bool = False) -> None:
        self._instance, self._record, self._program, self._ipv6 = instance, record, program, ipv6
        self._read: tuple[int, dict[str, Saved]] | None = None  # a generation of nf_tables, and what was there then
        self._is_told = False
        self._is_foreseen = False  # it was not read, but follows from what we did
        self._compared: tuple[int, Asked, list[str]] | None = None  # and in what it differed from what was asked

    def is_there(self) -> bool:
        """Whether anything of ours may be in the kernel."""
        return os.path.exists(self._record)

    async def swap(self, asked: Asked, close: Callable[[], None]) -> None:
        """Put what is asked in force. `close` is called before, where the guard does not stand. Raises `EngineError`."""
        texts, jumps = asked
        tool = self._find()
        saved = await self._saved(tool)
        if not self.is_there():
            said = {"flavour": tool.flavour, "tables": sorted(saved)}
            store.replace(self._record, trusted.sealed(json.dumps(said).encode()))
            for words in await iptables.obstacles(tool, ipv6=self._ipv6):
                log.warning("the network may not work: %s", words)
        if not rulesets.guard_stands(saved, texts, jumps, self._instance):
            close()
        text = rulesets.transaction(saved, texts, jumps, self._instance)
        if text:
            before = self._read[0] if self._read else 0
            self._read = self._compared = None
            await tool.restore(text)
            self._foresee(before, saved, text)

    async def differences(self, asked: Asked, *, sure: bool = True) -> list[str]:
        """Say in words what is not in force. Not `sure`: that our own last swap did what it was to do need not be read back."""
        if sure and self._is_foreseen:
            self._read = self._compared = None
        tool = self._find()
        generation = nftables.generation() if tool.flavour is Flavour.NFT else 0
        if generation and self._compared and self._compared[:2] == (generation, asked):
            return self._compared[2]
        found = rulesets.differences(await self._saved(tool), *asked, self._instance)
        self._compared = (generation, asked, found)
        return found

    async def remove(self, close: Callable[[list[str]], None], end: Callable[[dict[str, Saved]], None]) -> None:
        """Take everything of ours away, the guard last. `close` is called before, with the bridges that it guards, and `end`
        after, with what others have. Idempotent."""
        tool = self._find()
        saved = await self._saved(tool)
        close(_guarded_bridges(saved, self._instance))
        text = rulesets.removal(saved, self._instance)
        self._read = self._compared = None
        if text:
            await tool.restore(text)
        end(rulesets.others(saved, self._instance))
        if tool.flavour is Flavour.NFT:
            # none is removed in doubt
            before = [str(table) for table in self._recorded().get("tables", portmap.TABLES)]
            nftables.delete_empty([table for table in portmap.TABLES if table not in before], ipv6=self._ipv6)
        try:
            os.unlink(self._record)
        except OSError:  # something else is in its place: not ours to take away
            log.warning("cannot remove %s", self._record)

    # ------------------------------------------------------------------------------------------------------- inside

    async def _saved(self, tool: Iptables) -> dict[str, Saved]:
        """What is there: read again only where somebody else has changed something, if the kernel can say so."""
        generation = nftables.generation() if tool.flavour is Flavour.NFT else 0
        if not generation or not self._read or self._read[0] != generation:
            self._read, self._is_foreseen = (generation, await tool.save()), False
        return self._read[1]

    def _foresee(self, before: int, saved: dict[str, Saved], text: str) -> None:
        """After `text` was put in force: what is there now, if the kernel has counted no changes but ours (one a table)."""
        changed = rulesets.parse(text)
        if before and rulesets.only_replaces(text) and nftables.generation() == before + len(changed):
            self._read = (before + len(changed), rulesets.replaced(saved, changed))
            self._is_foreseen = True

    def _find(self) -> Iptables:
        """The machine's iptables; after we began, in the flavour in which we did, whatever the machine's is since."""
        tool = iptables.find(self._program)
        recorded = self._recorded() if self.is_there() else {}
        if recorded and tool.flavour != recorded["flavour"]:
            base = "ip6tables" if self._ipv6 else "iptables"
            return iptables.find(f"{base}-nft" if tool.flavour is Flavour.LEGACY else f"{base}-legacy")
        return tool

    def _recorded(self) -> dict[str, Any]:
        """Empty where the record cannot be read: it is left as it is, and the log says so, once."""
        try:
            said = trusted.mapping_of(self._record)
            if said["flavour"] not in tuple(Flavour) or not isinstance(said["tables"], list):
                raise errors.RecordError(f"cannot read {self._record}: it says no flavour of iptables")
        except (OSError, errors.RecordError, KeyError, TypeError) as error:
            if not self._is_told:
                log.error("%s; going on with the machine's own iptables", error)
            self._is_told = True
            return {}
        self._is_told = False
        return said


def _guarded_bridges(saved: dict[str, Saved], instance: str) -> list[str]:
    rules = saved.get("raw", Saved()).rules.get(portmap.chain_of(instance, "RAW"), ())
    options = [option for rule in rules for option in rulesets.canonical(rule)]
    return [option[1] for option in options if option[0] == "-i" and option[1] != "lo"]
