"""The keys of a compose file, each with its shape. The source is compose-spec.schema.json of compose-go.

A new key: its shape here or in `service`, its short forms in `short_forms`, its canonical value in `values`; then the model,
or a reason in `elsewhere` why it cannot be.
"""

from specs.keys.parts import OPTIONS
from specs.keys.service import SERVICE
from specs.keys.shapes import BOOLEAN, INTEGER, PAIRS, SOME_NAME, TEXT, TEXTS, Either, Entries, Items, Keys, Shape
from specs.keys.words import NAME, TEXT_OR_EACH

_EXTERNAL = Either((BOOLEAN, Keys({"name": TEXT})))

POOL = Keys({"subnet": TEXT, "gateway": TEXT, "ip_range": TEXT, "aux_addresses": Entries(TEXT, SOME_NAME)})

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
        "ipam": Keys({"driver": TEXT, "config": Items(POOL), "options": Entries(TEXT, SOME_NAME)}),
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

_CONTENT: dict[str, Shape] = {
    "name": TEXT,
    "file": TEXT,
    "environment": TEXT,
    "external": _EXTERNAL,
    "labels": PAIRS,
    "template_driver": TEXT,
}
SECRET = Keys({**_CONTENT, "driver": TEXT, "driver_opts": OPTIONS})
CONFIG = Keys({**_CONTENT, "content": TEXT})
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
        "secrets": Entries(SECRET, NAME),
        "models": Entries(MODEL),
        "x-corral": Keys({"userns": TEXT, "memory": TEXT}),
    }
)
