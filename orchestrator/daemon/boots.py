"""Whether the machine has booted since a daemon last restored its projects.

    <root>/boot    the boot id (proc(5), random/boot_id) of that time

A daemon that is merely replaced leaves what was stopped by hand alone. After a boot it starts again where its restart policy is
`always`, and stays where that is `unless-stopped`, as with Docker.
"""

from engine.process import identity
from engine.records import store
from engine.types.infos import ContainerInfo
from engine.types.parts import Restart
from reconciler.stored import Stored


def is_first_start(path: str) -> bool:
    """False where no daemon has ever been."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() != identity.boot_id()
    except FileNotFoundError:
        return False


def note(path: str) -> None:
    """This boot's projects are restored."""
    store.replace(path, identity.boot_id().encode())


def started_by_policy(stored: Stored, containers: tuple[ContainerInfo, ...], now: float) -> Stored:
    """What is wanted after a boot: what was stopped by hand runs again where its policy says always."""
    always = {info.config.service for info in containers if info.config.restart.name is Restart.ALWAYS}
    again = sorted(stored.overlay.stopped & always & set(stored.services))
    return stored.start(again, now) if again else stored
