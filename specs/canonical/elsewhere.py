"""Keys of a service that are about other machines, engines or clusters: accepted where they ask for what is so anyway, else
refused with the reason and the way out."""

from __future__ import annotations

import os
from collections.abc import Mapping

from specs.context import Context
from specs.errors import Path
from specs.node import Node
from specs.patterns import pattern

ARCHITECTURES = {  # GOARCH, by uname(2)
    "x86_64": ("amd64", "x86_64", "x86-64"),
    "aarch64": ("arm64", "aarch64", "arm64/v8"),
}
MOUNTS: Mapping[str, str] = {
    "cluster": "a cluster's volumes are Swarm's: this is one machine",
    "npipe": "named pipes are for Windows",
}
RUNTIMES = ("runc", "io.containerd.runc.v2")
PULL_POLICY = pattern(  # compose-spec.schema.json
    r"always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"
)
_GPU = "no devices are reserved: a GPU needs its maker's libraries in the container, which nothing here puts there"
_GPU_HINT = "name the nodes under devices, and mount the libraries with volumes"
REFUSED: Mapping[str, tuple[str, str]] = {
    "cpu_count": ("is for Windows", "cpus: 2"),
    "cpu_percent": ("is for Windows", "cpus: 0.5"),
    "credential_spec": ("is for Windows", "secrets"),
    "gpus": (_GPU, _GPU_HINT),
    "models": (
        "there is no model runner here to serve them",
        "run one as a service, and say its address under environment",
    ),
    "storage_opt": (
        "writable layers have no size of their own: they share the file system of corral's root",
        "read_only: true, and a volume of a size: driver_opts {type: tmpfs, device: tmpfs, o: size=1g}, or a disk of its own",
    ),
    "use_api_socket": ("there is no API of Docker's here", "leave it out"),
}


def refuse(node: Node, path: Path, context: Context) -> Node | None:
    """None: what is given asks for nothing."""
    if node.value not in (0, False, "0", "") and not _is_empty(node):
        why, hint = REFUSED[str(path[-1])]
        context.findings.error(node, path, why, hint)
    return None


def refuse_devices(node: Node, path: Path, context: Context) -> None:
    if not _is_empty(node):
        context.findings.error(node, path, _GPU, _GPU_HINT)


def _is_empty(node: Node) -> bool:
    return isinstance(node.value, dict | list) and not node.value


def platform(node: Node, path: Path, context: Context) -> Node | None:
    """Of this machine's own: a program for another processor does not run here."""
    machine = os.uname().machine
    own = ARCHITECTURES.get(machine, (machine,))
    system, _, architecture = str(node.value).partition("/")
    is_ours = str(node.value) in own or (system == "linux" and architecture in ("", *own))
    if not is_ours:
        context.findings.error(node, path, f"this machine is linux/{own[0]}, and runs nothing of {node.value}")
    return node


def runtime(node: Node, path: Path, context: Context) -> Node | None:
    if node.value in RUNTIMES:
        context.findings.note(node, path, "means nothing here: corral starts containers itself, as runc would")
    elif node.value:
        message = f"there is no runtime '{node.value}': corral starts containers itself"
        context.findings.error(node, path, message, "leave it out")
    return node if node.value else None


def isolation(node: Node, path: Path, context: Context) -> Node | None:
    if node.value not in ("", "default"):
        context.findings.error(node, path, f"'{node.value}' is for Windows: default is all there is")
    return node if node.value else None


def pull_policy(node: Node, path: Path, context: Context) -> Node | None:
    if not PULL_POLICY.fullmatch(str(node.value)):
        context.findings.error(node, path, f"'{node.value}' is no policy: always, never, missing, build, daily …")
    else:
        context.findings.note(node, path, "means nothing yet: no image is pulled")
    return node


def pull_refresh_after(node: Node, path: Path, context: Context) -> None:
    context.findings.note(node, path, "means nothing yet: no image is pulled")


def develop(node: Node, path: Path, context: Context) -> None:
    if node.get("watch") is not None:
        context.findings.note(node, path, "is for `watch`, which there is not yet: `up` passes over it")


def build(fields: dict[str, Node], path: Path, context: Context) -> None:
    """An image that is there need not be built."""
    if (node := fields.pop("build", None)) is None:
        return
    image = str(fields["image"].value) if "image" in fields else ""
    if image == "host" or image.startswith("rootfs:") or (image and context.any_image):
        context.findings.note(node, (*path, "build"), f"nothing is built: there is the image {image}")
        return
    message = "images are not built yet"
    hint = "say image: rootfs:DIR beside it, a directory with the files that it would have"
    context.findings.error(node, (*path, "build"), message, hint)
