"""INITIALISATION (INI): do the weights that the model carries let it learn?

Gradient descent can only move a weight whose gradient is not zero, and can only tell units apart that differ somewhere.
These rules read the stored weights, follow zeros and equal units through the graph, and print the argument.
"""
