"""SUPPRESSIONS (SUP): do the requests to silence findings mean something, and still do something?

These rules judge comments, metadata and overrides, not the model; they run after all the others.
"""
