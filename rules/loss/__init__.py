"""LOSS (LOS): do the loss and the head fit together?

Some losses take logits and apply softmax or sigmoid themselves, others want probabilities or their logarithms. A
mismatch raises no exception: the network trains badly. Where the loss is not in the graph or in the model's metadata,
`--loss` tells it.
"""
