"""netlint: the linter for neural networks."""

__version__ = "0.1.0"
