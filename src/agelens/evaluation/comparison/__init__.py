"""Comparing models: the same samples, intervals by person, and who published what.

Models of several seeds are measured by the mean over them. Each dataset is compared on the
samples that every model answered there. No torch: predictions are enough.
"""
