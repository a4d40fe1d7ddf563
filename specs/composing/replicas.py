"""What each replica of a service is: `services.S.x-corral.replica`, a partial service that is laid over S for each one, as one
more file would be. In its texts `{index}` is the replica's number, from 1 on, and `{index+10}`, `{index-1}` are counted from it.

Afterwards a service has `replicas`, complete services by number. Which ones: those of its scale, or of the command line's where
that is more, and the first one always. `depends_on` is not among their keys: it is the service's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from specs.composing import merge, short_forms
from specs.context import Context
from specs.errors import Path, SpecError
from specs.findings import Findings
from specs.keys import shapes
from specs.keys.document import DOCUMENT
from specs.node import Node, place_of
from specs.patterns import pattern

MOST = 4096
TEMPLATE = ("x-corral", "replica")
EACH = "replica"
Canonical: TypeAlias = Callable[[Node, Path, Context], Node]

_INDEX = pattern(r"\{index(?:([+-])(\d{1,9}))?\}", re.ASCII)
_BARE = pattern(r"index([+-]\d+)?", re.ASCII)
_OF_THE_SERVICE: Mapping[str, str] = {
    "attach": "`up` shows the output of a whole service",
    "depends_on": "the replicas of a service wait for the same",
    "extends": "a service is made of another one as a whole",
    "pre_start": "its steps come before a whole service; those with per_replica have each replica's environment",
    "profiles": "a service is active as a whole",
    "scale": "it says how many replicas there are",
    "x-corral": "it is said of the whole service",
}


# ---------------------------------------------------------------------------------------------------- the documents' side


def refuse_resets(document: Node, dropped: list[Path], findings: Findings) -> None:
    """What a template lays over its service is written in it; `!reset` of the whole template drops those of earlier files."""
    for path in dropped:
        if path[0] == "services" and path[2:4] == TEMPLATE and len(path) > 4:
            message = "!reset and !override are not for what is in a template"
            findings.errors.append(SpecError(path, message, *place_of(document, path), "give the value it is to have"))


def of_node(service: Node) -> list[Node]:
    """What its replicas are; none where these do not differ."""
    found = service.get("replicas")
    return list(found.mapping().values()) if found is not None else []


def bodies(service: Node) -> list[Node]:
    """What runs of it: its replicas where these differ, else itself."""
    return of_node(service) or [service]


def joined(service: Node, replicas: Mapping[str, Node]) -> Node:
    """The service with its replicas. What one of them needs, the service needs."""
    fields = dict(service.mapping())
    needed: dict[str, Node] = {}
    for replica in replicas.values():
        needed |= replica.mapping()["depends_on"].mapping() if "depends_on" in replica.mapping() else {}
    if needed:
        said = fields.get("depends_on", service)
        fields["depends_on"] = said.with_value(needed | said.mapping() if "depends_on" in fields else needed)
    bare = {
        number: replica.with_value({key: child for key, child in replica.mapping().items() if key != "depends_on"})
        for number, replica in replicas.items()
    }
    return service.with_value({**fields, "replicas": service.with_value(bare)})


def expanded(node: Node, service: Node, path: Path, context: Context, canonical_of: Canonical) -> dict[str, Node]:
    """The canonical replicas by number, {} without a template. `node` is the service spelled out, `service` canonical. What is
    wrong with several of them alike is told once."""
    given = node.get(*TEMPLATE)
    templates = given.sequence() if given is not None else []
    scale, name = service.get("scale"), str(path[-1])
    counted = scale.value if scale is not None and isinstance(scale.value, int) else 1
    count = max(counted, context.scale.get(name, 0), 1)
    is_wrong = any(error.path[:2] == path for error in context.findings.errors)
    refused = [template for template in templates if _is_refused(template, path, context.findings)]
    if count > MOST or refused:
        return {}
    found: dict[str, Node] = {}
    for number in range(1, count + 1) if templates else ():
        own = Findings()
        laid = _laid_over(node, templates, name, number, own)
        if own.errors:
            context.findings.errors += [_in_template(error, path) for error in own.errors]
            return {}
        if is_wrong:
            return {}
        where = (*path, "replicas", str(number))
        found[str(number)] = canonical_of(laid, where, context._replace(findings=own))
        _hand_over(own, context.findings, is_first=number == 1)
    return found


def _is_refused(template: Node, path: Path, findings: Findings) -> bool:
    """Whether it says what is the whole service's."""
    fields = template.mapping()
    wrong: list[tuple[Path, str]] = [((key,), why) for key, why in _OF_THE_SERVICE.items() if key in fields]
    if template.get("deploy", "replicas") is not None:
        wrong.append((("deploy", "replicas"), _OF_THE_SERVICE["scale"]))
    for where, why in wrong:
        place = place_of(template, where)
        message = f"cannot be given for one replica: {why}"
        findings.errors.append(SpecError((*path, *TEMPLATE, *where), message, *place, "say it of the service"))
    return bool(wrong)


def _laid_over(node: Node, templates: list[Node], name: str, number: int, findings: Findings) -> Node:
    """The service, spelled out, with the templates over it."""
    only = {key: child for key, child in node.mapping().items() if key != "x-corral"}
    ours = {key: child for key, child in node.mapping().get("x-corral", node).mapping().items() if key != "replica"}
    document = _document(node.with_value(only), name)
    for template in templates:
        one = _document(_indexed(template, number, ("services", name), findings), name)
        findings.next_step()
        fitting = shapes.fit(one, DOCUMENT, findings)
        findings.next_step()
        document = merge.merge(document, short_forms.spell_out(fitting, findings), [])
        findings.next_step()
    laid = document.mapping()["services"].mapping()[name]
    return laid.with_value({**laid.mapping(), "x-corral": node.with_value(ours)}) if "x-corral" in ours else laid


def _document(service: Node, name: str) -> Node:
    return service.with_value({"services": service.with_value({name: service})})


def _indexed(node: Node, number: int, path: Path, findings: Findings) -> Node:
    """With the replica's number in every text; keys are left alone, as with variables."""
    value = node.value
    if isinstance(value, dict):
        bare = next(iter(value), "")
        if len(value) == 1 and _BARE.fullmatch(bare) and value[bare].value is None:
            findings.error(node, path, "is a mapping to YAML", hint=f'write "{{{bare}}}", with quotes')
        return node.with_value({key: _indexed(child, number, (*path, key), findings) for key, child in value.items()})
    if isinstance(value, list):
        return node.with_value([_indexed(child, number, (*path, at), findings) for at, child in enumerate(value)])
    return node.with_value(indexed(value, number)) if isinstance(value, str) and "{index" in value else node


def indexed(text: str, number: int) -> str:
    """The text for the replica with this number. Other braces stay as they are."""

    def counted(match: re.Match[str]) -> str:
        away = int(match[2] or 0)
        return str(number - away if match[1] == "-" else number + away)

    return _INDEX.sub(counted, text)


def _in_template(error: SpecError, path: Path) -> SpecError:
    return error._replace(path=(*path, *TEMPLATE, *error.path[2:]))


def _hand_over(own: Findings, findings: Findings, *, is_first: bool) -> None:
    told = {(error.file, error.line, error.column, error.message) for error in findings.errors}
    findings.errors += [
        error for error in own.errors if (error.file, error.line, error.column, error.message) not in told
    ]
    if is_first:
        findings.notes += [note for note in own.notes if note.replace(".replicas.1", "") not in findings.notes]


# ------------------------------------------------------------------------------------------------------------ volumes


def check_each(fields: Mapping[str, Node], path: Path, context: Context) -> None:
    """Of a volume that says `x-corral: {each: replica}`: it is one that can be had several times."""
    said = fields.get("x-corral")
    each = said.get("each") if said is not None else None
    if each is None:
        return
    where = (*path, "x-corral", "each")
    if each.value != EACH:
        context.findings.error(each, where, f"'{each.value}' is not supported: {EACH} (one for each replica)")
    options = fields.get("driver_opts")
    device = options.get("device") if options is not None else None
    if device is not None and device.value != "tmpfs":
        message = f"all replicas would have the same: {device.value}"
        context.findings.error(each, where, message, f"leave out driver_opts, or `each: {EACH}`")
