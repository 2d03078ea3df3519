"""`python -m netlint`, and the console script."""

import gc
import sys


def main() -> None:
    """Run the command line; Ctrl-C is quiet even while it is still being imported."""
    try:
        gc.disable()  # of what is imported nothing is ever dropped; `server`, which runs for long, turns it on again
        from netlint.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # the process ends here: to take large graphs apart first would cost a tenth of its time


if __name__ == "__main__":
    main()
