"""`corral`, and `python -m orchestrator`: runs the command line and exits with what it says."""

import sys


def main() -> None:
    """Run the command line; never returns."""
    from orchestrator import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
