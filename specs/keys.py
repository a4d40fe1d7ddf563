"""The keys of a compose file, each with its shape, or among those that are not supported yet.

The source is compose-spec.schema.json of compose-go. To support a key: move it from `later` to the known ones here or in
`service_keys`, spell out its short forms in `short_forms`, give it to the model.
"""

from specs.key_words import NAME, TEXT_OR_EACH
from specs.service_keys import SERVICE
from specs.service_parts import OPTIONS
from specs.shapes import BOOLEAN, INTEGER, PAIRS, TEXT, TEXTS, Either, Entries, Items, Keys

_EXTERNAL = Either((BOOLEAN, Keys({"name": TEXT})))

POOL = Keys({"subnet": TEXT, "gateway": TEXT, "ip_range": TEXT, "aux_addresses": Entries(TEXT)})

NETWORK = Keys(
    {
        "name": TEXT,
        "attachable": BOOLEAN,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "enable_ipv4": BOOLEAN,
        "enable_ipv6": BOOLEAN,
        "external": _EXTERNAL,
        "internal": BOOLEAN,
        "ipam": Keys({"driver": TEXT, "config": Items(POOL), "options": Entries(TEXT)}),
        "labels": PAIRS,
    },
    can_be_null=True,
)

VOLUME = Keys(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "external": _EXTERNAL,
        "labels": PAIRS,
        "x-corral": Keys({"each": TEXT}),
    },
    can_be_null=True,
)

CONTENT = Keys(
    {"name": TEXT, "file": TEXT, "environment": TEXT, "external": _EXTERNAL, "labels": PAIRS},
    later={"driver": TEXT, "driver_opts": OPTIONS, "template_driver": TEXT},
)
CONFIG = Keys({**CONTENT.known, "content": TEXT}, later={"template_driver": TEXT})
MODEL = Keys({"name": TEXT, "model": TEXT, "context_size": INTEGER, "runtime_flags": TEXTS}, needs=("model",))
INCLUDE = Keys({"path": TEXT_OR_EACH, "env_file": TEXT_OR_EACH, "project_directory": TEXT}, extensions=False)

DOCUMENT = Keys(
    {
        "version": TEXT,
        "name": TEXT,
        "include": Items(Either((TEXT, INCLUDE))),
        "services": Entries(SERVICE, NAME),
        "networks": Entries(NETWORK),
        "volumes": Entries(VOLUME, NAME),
        "configs": Entries(CONFIG, NAME),
        "secrets": Entries(CONTENT, NAME),
        "x-corral": Keys({"userns": TEXT, "memory": TEXT}),
    },
    later={"models": Entries(MODEL)},
)
