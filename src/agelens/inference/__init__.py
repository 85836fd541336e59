"""Chip to estimate: cards, networks, the estimator, tracks, results."""
