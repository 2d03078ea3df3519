"""Analyses: facts about a graph, with unknown as an explicit answer. Verdicts are the rules' business."""
