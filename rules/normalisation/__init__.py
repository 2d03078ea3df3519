"""NORMALISATION (NRM): norms that do not bring values to the size that they are there for."""
