"""NUMERICAL SAFETY (NUM): can a value of the network become infinite or NaN?

These rules read the interval that each value is proved to lie in: logarithms of zero, divisions by zero, overflowing
exponentials, square roots of negative numbers, and gradients that are infinite where the value itself is not.

What is assumed is printed with each finding. Inputs may be any numbers, unless `--input-range` bounds them. Weights
may be any finite numbers that training finds, whatever is stored: nothing bounds them for certain, neither the
optimizer nor weight decay, so no interval [-r, r] is assumed; with `--stage=trained` they count as stored. An error
holds for all of these numbers. A warning names a value that some of them lead to, and that nothing in the graph
excludes.
"""
