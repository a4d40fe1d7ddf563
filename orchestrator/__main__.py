"""`corral`, and `python -m orchestrator`."""

import sys


def main() -> None:
    sys.exit("corral: nothing to run yet")


if __name__ == "__main__":
    main()
