"""Runs a live PyTorch model: the only part of the probe that imports torch."""
