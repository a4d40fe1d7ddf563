"""How much slower than a real machine this one is: `CORRAL_SLOWNESS`, 1 where nobody says. An emulated one is 15 to 20 times slower.

All that tests wait for, they wait for that much longer."""

import os

FACTOR = float(os.environ.get("CORRAL_SLOWNESS") or 1)


def scaled(seconds: float) -> float:
    return seconds * FACTOR
