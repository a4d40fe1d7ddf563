"""Labs: folders of plain files that bring up a whole cluster, kept in examples/bigdata-cluster, one folder each.

A lab is copied, with what its links lead to, and its `.env` says how many workers there are and how much memory each node may
take: that follows from two numbers by what its `lab.toml` says, which is not copied."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator import errors

HOME = Path(__file__).resolve().parents[2] / "examples" / "bigdata-cluster"
ABOUT = "lab.toml"
SETTINGS = ".env"
PREPARE = "prepare"
MIB = 1 << 20
WORKERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one kind of node: each of `nodes` gets `least_mib`, and of what is left over `share` parts. None: every worker does."""

    least_mib: int
    share: int
    nodes: int | None

    def count(self, workers: int) -> int:
        return workers if self.nodes is None else self.nodes


@dataclass(frozen=True, slots=True)
class Lab:
    name: str
    folder: Path
    summary: str
    workers: int
    memory: str
    budgets: Mapping[str, Budget]
    """By the variable of compose.yaml that the node's limit is."""


def all_of_them(home: Path = HOME) -> dict[str, Lab]:
    """By name. Raises OrchestratorError where this corral came without labs."""
    if not home.is_dir():
        raise errors.OrchestratorError(
            f"cannot find the labs: there is no {home}", hint="run corral from a clone of its repository"
        )
    return {path.parent.name: read(path) for path in sorted(home.glob(f"*/{ABOUT}"))}


def read(path: Path) -> Lab:
    about = tomllib.loads(path.read_text())
    budgets = {
        variable: Budget(said["least"], said["share"], None if said.get("each") else said.get("nodes", 1))
        for variable, said in about["memory_mib"].items()
    }
    return Lab(path.parent.name, path.parent, about["summary"], about["workers"], about["memory"], budgets)


def memory_of_nodes(lab: Lab, workers: int, memory_mib: int) -> dict[str, int]:
    """Mapping from variable to MiB; together no more than `memory_mib`. Raises UsageError where that is too little."""
    least_mib = sum(budget.least_mib * budget.count(workers) for budget in lab.budgets.values())
    if memory_mib < least_mib:
        raise errors.UsageError(
            f"{lab.name} with {workers} workers takes {least_mib} MiB at least, and is given {memory_mib}",
            hint=f"--memory {least_mib}m, or fewer --workers",
        )
    shares = sum(budget.share * budget.count(workers) for budget in lab.budgets.values())
    part = (memory_mib - least_mib) / max(shares, 1)
    return {variable: budget.least_mib + int(part * budget.share) for variable, budget in lab.budgets.items()}


def copy(lab: Lab, target: Path, workers: int, memory: str, nodes_mib: Mapping[str, int]) -> None:
    """Make `target` the lab's folder. Raises OrchestratorError where something is there."""
    try:
        if target.exists() and any(target.iterdir()):
            raise errors.OrchestratorError(
                f"cannot make a lab in {target}: it is not empty", hint="name a folder that does not exist yet"
            )
        ignored = shutil.ignore_patterns(ABOUT, "__pycache__", ".cache")
        shutil.copytree(lab.folder, target, ignore=ignored, dirs_exist_ok=True)
        (target / SETTINGS).write_text(settings_text(lab, workers, memory, nodes_mib))
    except (OSError, shutil.Error) as error:
        raise errors.OrchestratorError(f"cannot make a lab in {target}: {error}") from error


def settings_text(lab: Lab, workers: int, memory: str, nodes_mib: Mapping[str, int]) -> str:
    lines = [
        f"# The numbers of this {lab.name} lab, as compose.yaml reads them. Edit them, and: corral up -d --wait",
        f"WORKERS={workers}",
        "",
        f"# Limits of the nodes: {memory} in all.",
        *(f"{variable}={mib}m" for variable, mib in nodes_mib.items()),
        "",
        "# Where what ./prepare fetches is kept, for all labs of this machine.",
        "#CORRAL_LABS=/var/cache/corral/labs",
    ]
    return "\n".join(lines) + "\n"


def machine_mib() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB


def prepare(target: Path) -> bool:
    """Have what the lab runs on, on this machine; whether it succeeded. It speaks for itself."""
    return subprocess.run([target.resolve() / PREPARE], check=False).returncode == 0
