"""ACTIVATION (ACT): does each non-linearity fit its place, in the body and at the head?

What a head can say is bounded by its last activation; what the body can learn, by the gradient its activations let
pass. Gates, attention weights and recurrent cells are told apart by structure and are not judged as activations.
"""
