"""GRADIENTS (GRD): does training move what it is meant to move?

A step of training raises no error where the gradient was lost on the way: the loss is printed, the optimizer steps, and
the weights stay what they were.
"""
