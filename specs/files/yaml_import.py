"""PyYAML, imported in half its time: of the expressions that it compiles at its import, which takes 4 ms, libyaml's events need
none. So they are compiled when somebody uses them, as our own are."""

import re

from specs import patterns

_compile = re.compile
re.compile = patterns.pattern  # type: ignore[assignment]
try:
    import yaml as yaml
finally:
    re.compile = _compile
