"""NUMERICAL SAFETY (NUM): can a value of the network become infinite or NaN?

These rules read the interval that each value is proved to lie in: logarithms of zero, divisions by zero, overflowing
exponentials, square roots of negative numbers, and gradients that are infinite where the value itself is not.
"""
