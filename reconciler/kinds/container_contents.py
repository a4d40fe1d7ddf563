"""What another content of a config, a secret or an env file does to a container: as its `on_change` says, and no more.

What is written in files, or in an environment, can be changed under a stopped container. So what asks for a restart is beyond
live change while it runs, and a live change as soon as it does not: it is stopped, changed, and started again.
"""

import signal
from dataclasses import replace

from engine.types.configs import ContainerConfig
from engine.types.parts import GivenFile, OnChange
from reconciler.resource import Difference

FROM_NEXT_START = "from its next start on"


def between(old: ContainerConfig, new: ContainerConfig, *, runs: bool) -> tuple[Difference, ContainerConfig]:
    """What the contents ask for, and `old` without what is said so."""
    live: list[str] = []
    other: list[str] = []

    def tell(words: str, policy: OnChange) -> None:
        if policy is OnChange.RECREATE or (policy is OnChange.RESTART and runs):
            other.append(words)
        else:
            live.append(f"{words}, {FROM_NEXT_START}" if runs and policy is OnChange.IGNORE else words)

    if _are_the_same_files(old, new):
        for was, will in zip(old.files, new.files, strict=True):
            if was.data != will.data:
                told = f", {_name_of(will.signal)}" if will.on_change is OnChange.SIGNAL and runs else ""
                tell(f"{will.target} has another content{told}", will.on_change)
            elif was != will:
                live.append(f"on_change of {will.target} {was.on_change} -> {will.on_change}")
        old = replace(old, files=new.files)
    names = _changed_variables(old, new)
    if names and names <= {*old.file_variables, *new.file_variables}:
        tell(f"env_file has another {', '.join(sorted(names))}", new.on_change)
        old = replace(old, environment=new.environment, file_variables=new.file_variables)
    return Difference(tuple(live), tuple(other)), old


def lasting(config: ContainerConfig) -> ContainerConfig:
    """Without the contents that may change in the life of a container."""
    files = tuple(
        _bare(file) if file.on_change is not OnChange.RECREATE else replace(file, on_change=OnChange.RECREATE)
        for file in config.files
    )
    kept = tuple(pair for pair in config.environment if pair[0] not in config.file_variables)
    return replace(config, files=files, environment=kept, file_variables=(), on_change=OnChange.RECREATE)


def _name_of(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _are_the_same_files(old: ContainerConfig, new: ContainerConfig) -> bool:
    return [_bare(file) for file in old.files] == [_bare(file) for file in new.files]


def _bare(file: GivenFile) -> GivenFile:
    return GivenFile(file.target, "", file.uid, file.gid, file.mode)


def _changed_variables(old: ContainerConfig, new: ContainerConfig) -> set[str]:
    was, will = dict(old.environment), dict(new.environment)
    return {name for name in was.keys() | will.keys() if was.get(name) != will.get(name)}
