"""Which images there are, and what they are made of. The one seam for images that are pulled, built or loaded.

A reference is `host` or `rootfs:/an/absolute/directory`. Neither copies programs, so making one present is quick and there is
nothing to remove; the file system that a container writes to is its own.
"""

import os
from collections.abc import Sequence

from engine import errors
from engine.images import host
from engine.images.layout import Defaults, Layer
from engine.types.configs import ImageConfig
from engine.types.infos import ImageInfo

ROOTFS = "rootfs:"


class ImageStore:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._present: dict[str, ImageInfo] = {}

    def infos(self) -> tuple[ImageInfo, ...]:
        return tuple(self._present.values())

    def ensure(self, config: ImageConfig) -> None:
        """Make the image's content present. Raises `TerminalEngineError` for a reference that cannot be served."""
        self.layers(config.reference)
        self._present[config.reference] = ImageInfo(config, uid=self._uid(config.reference))

    def look_again(self) -> None:
        """Forget what has vanished, and notice a root directory that another one has replaced."""
        for reference, info in list(self._present.items()):
            try:
                uid = self._uid(reference)
            except errors.EngineError:
                del self._present[reference]
                continue
            if uid != info.uid:
                self._present[reference] = ImageInfo(info.config, uid)

    def layers(self, reference: str) -> tuple[Layer, ...]:
        """Give the layers for a container made now."""
        if reference == "host":
            return host.layers(self.directory)
        if reference.startswith(ROOTFS):
            return (Layer("/", (self._rootfs(reference),)),)
        raise errors.TerminalEngineError(
            f"cannot use image {reference}: only `host` and `rootfs:/some/directory` are supported yet"
        )

    def may_be_made_of(self, reference: str, layers: Sequence[Layer]) -> bool:
        """Whether a container of this image could have been given these layers, now or by an earlier state of the machine."""
        if reference.startswith(ROOTFS):
            return tuple(layers) in ((), (Layer("/", (reference.removeprefix(ROOTFS),)),))
        skeletons = os.path.join(self.directory, "host")
        return all(
            (layer.target == "/" and len(layer.lowers) == 1 and os.path.dirname(layer.lowers[0]) == skeletons)
            or (layer.target.strip("/") in host.TREES and layer.lowers == (layer.target,))
            for layer in layers
        )

    def defaults(self, reference: str) -> Defaults:
        return Defaults()

    def _uid(self, reference: str) -> str:
        if not reference.startswith(ROOTFS):
            return reference
        found = os.stat(self._rootfs(reference))
        return f"{reference}@{found.st_dev}:{found.st_ino}"

    def _rootfs(self, reference: str) -> str:
        directory = reference.removeprefix(ROOTFS)
        if not os.path.isabs(directory):
            raise errors.TerminalEngineError(
                f"cannot use image {reference}: {directory or 'nothing'} is no absolute path"
            )
        if not os.path.isdir(directory):
            raise errors.TerminalEngineError(f"cannot use image {reference}: {directory} is not a directory")
        return directory
