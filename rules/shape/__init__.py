"""SHAPES (SHP): is each number still where the next layer looks for it?

A reshape keeps the order of the elements; it moves no axis. Where an axis was to be moved, a reshape gives a tensor of
the expected shape whose numbers stand in the wrong places: nothing fails, and the network learns from what is left.
"""
