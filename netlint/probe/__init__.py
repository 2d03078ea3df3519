"""The probe: the model is run, and what its values and gradients do is written down.

Nothing here runs unless the user asks for it (`--probe`): then the front end gives the graph a `Runner`, and the
analyses in `stages` have it execute what they tell of. Without one they are unavailable, and so are the rules that
want them. A run shows what happened on one batch; it corroborates findings and never removes one.
"""
