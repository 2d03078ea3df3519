"""RECURRENCE (RNN): is the sequence read as a sequence?

A recurrent layer walks along one axis and treats another as the batch. Which is which is a convention of the layer, and
the shapes fit either way.
"""
