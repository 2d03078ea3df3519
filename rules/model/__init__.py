"""MODEL FILE (GRA, SEC): is the file a model at all, and is what it refers to there?

These rules report what the reader of the file met on its way, all of it at once, each at its node.
"""
