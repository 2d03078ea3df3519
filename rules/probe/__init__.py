"""PROBE (PRB): what a run of the model shows that its graph cannot say.

These rules judge one forward and one backward pass, and short experiments: learning one batch by heart, raising the
learning rate. They need `--probe`, which executes the model, and are skipped without it. Each finding prints the number
that was measured, the batch, the seed and the device. A run shows what happened on one batch, not what always happens:
where the data are made up, read them as a hint, and give a batch of your own.
"""
