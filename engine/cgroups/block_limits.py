"""The limits of block devices, where their controller lives. Only a container that asks for some is in blkio's v1 hierarchy."""

import os
from collections.abc import Callable

from engine.cgroups import block, removal, v1, v2
from engine.cgroups.layout import Layout
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import BlockIo

NONE = BlockIo()


class BlockLimits:
    """By the path of a cgroup. `tree`: the v2 tree, if there is one."""

    def __init__(self, layout: Layout, tree: v2.Tree | None) -> None:
        self._layout, self._tree = layout, tree

    def put(self, path: str, limits: BlockIo) -> None:
        """Raises TerminalEngineError where nobody limits block devices, and for a limit that the kernel refuses."""
        directory = self._on_v2(path)
        if directory:
            block.put(directory, block.on_v2(limits))
            return
        self._hierarchy().create(path)
        block.put(self._on_v1(path), block.on_v1(limits))

    def weigh(self, path: str, before: BlockIo, after: BlockIo, pids: Callable[[], frozenset[int]]) -> None:
        """Put the weight of `after` in force on a cgroup, in which there may be `pids`. It has the limits `before`, which
        differ in nothing else. After a failure these are in force. Raises as `put`."""
        directory = self._on_v2(path)
        if not directory or not self._tree:
            self._weigh_on_v1(path, before, after, pids)
            return
        self._tree.create(path, frozenset({"io"}))
        if not after.weight:
            block.unweigh(directory)
        block.put(directory, block.on_v2(after))  # another weight takes those of devices away

    def _on_v2(self, path: str) -> str:
        """The directory, "" where blkio is on v1."""
        if self._tree and "io" in self._tree.controllers:
            return self._tree.directory(path)
        if not self._layout.v1_of("blkio"):
            raise TerminalEngineError(
                "cannot set blkio_config: no cgroup hierarchy here has the controller io or blkio"
            )
        return ""

    def _on_v1(self, path: str) -> str:
        return os.path.join(self._layout.v1_of("blkio"), path)

    def _hierarchy(self) -> v1.Forest:
        return v1.Forest((("blkio", self._layout.v1_of("blkio")),))

    def _weigh_on_v1(self, path: str, before: BlockIo, after: BlockIo, pids: Callable[[], frozenset[int]]) -> None:
        """Only who has limits is in that hierarchy."""
        directory = self._on_v1(path)
        try:
            if not after.weight:
                block.unweigh(directory)
            if after != NONE:
                self.put(path, after)
            if before == NONE:
                block.move(pids, directory)
        except EngineError:
            if before == NONE:
                self._leave(path)
            raise
        if after == NONE:
            self._leave(path)

    def _leave(self, path: str) -> None:
        forest, directory = self._hierarchy(), self._on_v1(path)
        block.move(lambda: forest.pids(path), self._layout.v1_of("blkio"))
        if reason := removal.remove(directory):
            raise EngineError(f"cannot remove cgroup {reason}")
        removal.prune(directory, path)
