"""What an edit of a key costs: told by the planner, as `corral plan` would."""

from engine.types.configs import NetworkConfig, VolumeConfig
from engine.types.infos import NetworkInfo, VolumeInfo
from reconciler.resource import Action, Change
from tests.keys import documents
from tests.keys.rows import Row
from tests.reconciler.scenes import Scene

FOREIGN = (
    NetworkInfo(NetworkConfig("there", "q", "there", "10.7.0.0/24", "10.7.0.1"), "network-there"),
    VolumeInfo(VolumeConfig("there", "q", "there"), "volume-there"),
)
KINDS = ("volume", "container", "sandbox", "network", "endpoint")
ANEW = {
    "volume": "refused: data is never replaced",
    "container": "new container",
    "sandbox": "new sandbox",
    "endpoint": "new cable",
    "network": "new network",
}
NOTHING = "nothing"
RUNS_ON = ("live", ANEW["endpoint"], ANEW["network"], NOTHING)
"""With these the container keeps its process."""


def of(row: Row) -> str:
    """Raises AssertionError where the row's document is not valid."""
    if not row.after:
        return ""
    scene = Scene()
    scene.foreign = list(FOREIGN)
    scene.up(documents.canonical(row, row.before).canonical).come_true()
    told = scene.up(documents.canonical(row, row.after).canonical).forecast()
    if any(blocked.id.startswith("volume:") for blocked in told.blocked):
        return ANEW["volume"]
    return _words([change for change in told.changes if not change.id.startswith("image:")])


def _words(changes: list[Change]) -> str:
    for kind in KINDS:
        mine = [change for change in changes if change.id.startswith(f"{kind}:")]
        if any(change.action is Action.REPLACE for change in mine):
            return ANEW[kind]
        if kind != "volume" and any(change.action in (Action.CREATE, Action.REMOVE) for change in mine):
            return ANEW[kind] if kind != "container" else "more or fewer"
    return "live" if changes else NOTHING
