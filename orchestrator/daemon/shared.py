"""Networks and volumes that belong to no project: made by a command, kept by a loop like a project's, taken away by a command.

They are the one project MACHINE, whose document these commands write. Nothing is taken away that a project declares or a
container has. A volume goes only by name, or where nobody has any more to do with it and somebody asked for that very thing.
"""

from typing import Any

from engine import errors as engine_errors
from orchestrator import errors, protocol
from orchestrator.daemon import inventory, keeper
from orchestrator.daemon.inventory import Row
from orchestrator.daemon.projects import Projects

MADE_S = 30.0


async def create(projects: Projects, section: str, request: protocol.Make) -> dict[str, Any]:
    """Make a network or a volume; a volume that is there already is as good. {"name", "id"}."""
    what, name = section[:-1], request.name
    for row in await inventory.rows(projects, section):
        if row.config.name == name:
            if section == "volumes" and not request.settings:
                return {"name": name, "id": row.info.uid}
            raise errors.Refused(f"a {what} is called {name} already{whose(row)}", hint=f"corral {what} inspect {name}")
    number, kept = await _say(projects, section, name, request.settings)
    settled = await kept.settle(number, timeout_s=MADE_S)
    for row in await inventory.rows(projects, section):
        if row.config.name == name and row.info.whole:
            return {"name": name, "id": row.info.uid}
    await _say(projects, section, name, None)
    why = [each.reason for each in settled.waiting if each.id == f"{what}:{name}"]
    raise errors.Refused(f"cannot create {what} {name}: {'; '.join(why) or 'it did not come in time'}")


async def remove(projects: Projects, section: str, request: protocol.Remove) -> dict[str, Any]:
    """Take these away, one after the other, until one cannot be. {"removed": names}."""
    what, removed = section[:-1], []
    for text in request.names:
        row = inventory.chosen(await inventory.rows(projects, section), what, text)
        refuse_needed(projects, what, row)
        await _remove(projects, section, row)
        removed.append(row.config.name)
    return {"removed": removed}


async def prune(projects: Projects, section: str, request: protocol.Prune) -> dict[str, Any]:
    """Take away what nobody declares or has. Of volumes: what projects have left; with `every`, also what commands made. Where
    `names` are said, of these only."""
    removed = []
    for row in await inventory.rows(projects, section):
        is_meant = row.is_shared if section == "networks" else request.every or not row.is_shared
        is_meant = is_meant and (not request.names or row.config.name in request.names)
        if is_meant and not why_needed(projects, row):
            await _remove(projects, section, row)
            removed.append(row.config.name)
    return {"removed": removed}


def refuse_needed(projects: Projects, what: str, row: Row) -> None:
    """Raises Refused for one that somebody declares or has, naming who. The volume of a replica that is gone may be named."""
    if (why := why_needed(projects, row)) and not (row.is_left and not row.used_by and not projects.broken()):
        hint = ""
        if row.project in row.declared_by:
            hint = f"`corral -p {row.project} down{' -v' if what == 'volume' else ''}` takes it away with its project"
        raise errors.Refused(f"cannot remove {what} {row.config.name}: {why}", hint=hint)


def why_needed(projects: Projects, row: Row) -> str:
    """ "": nobody needs it."""
    if broken := projects.broken():
        return f"it may be needed: {broken[0]}"
    if row.declared_by:
        return f"it is declared by project {', '.join(row.declared_by)}"
    return f"it is in use by {', '.join(row.used_by)}" if row.used_by else ""


def whose(row: Row) -> str:
    return f", of project {row.project}" if row.project else ""


async def _remove(projects: Projects, section: str, row: Row) -> None:
    what, name = section[:-1], row.config.name
    if row.is_shared:
        number, kept = await _say(projects, section, name, None)
        await kept.settle(number, timeout_s=MADE_S)
    try:
        if section == "volumes":  # which no loop takes away because nobody wants it
            await projects.engine.remove(row.info.uid)
        elif any(each.info.uid == row.info.uid for each in await inventory.rows(projects, section)):
            raise errors.Refused(f"cannot remove {what} {name}: it did not go in time")
    except engine_errors.Superseded:
        pass  # it is gone
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error


async def _say(
    projects: Projects, section: str, name: str, settings: protocol.Document | None
) -> tuple[int, keeper.Keeper]:
    """Want the thing (None: no more); the number of that wish, and whose."""
    async with projects.machine().lock:
        kept = projects.machine()  # it may have been forgotten while we waited
        with keeper.refusals():
            stored = kept.stored.with_shared(section, name, settings)
        declared = await kept.declare(stored, refuse_taken=settings is not None)
        kept.save(declared.stored)
        number = kept.want(declared)
        projects.keep(kept)
    return number, kept
