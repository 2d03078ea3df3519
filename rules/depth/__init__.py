"""DEPTH AND WIDTH (DEP): do signals keep their size as the network grows?

A sum over more units is larger. Where its size is not divided out, what works in a small network fails in a wide one.
"""
