"""Heat maps: which places of a face an estimate hangs on.

What every method gives is a `HeatMap`; occlusion, which needs no gradients and so works for any
network, is here, and what needs torch is in `agelens.models.attribution`.
"""
