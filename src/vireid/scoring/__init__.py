"""Scoring: protocols, metrics, scores and comparisons. No torch in here."""

METRICS = ("R1", "R5", "R10", "R20", "mAP", "mINP")
"""Metrics of a trial: the share of queries with a match within k ranks, and two means."""
