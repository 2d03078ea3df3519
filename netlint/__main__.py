"""`python -m netlint`, and the console script."""

from netlint.cli import main

if __name__ == "__main__":
    main()
