"""`python -m netlint`, and the console script."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C is quiet even while it is still being imported."""
    try:
        from netlint.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
