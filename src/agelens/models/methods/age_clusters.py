"""Training ages in clusters, for the first leaves of a forest."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans, vq

from agelens.records import Floats


def age_clusters(age_years: Floats, clusters: int) -> tuple[Floats, Floats]:
    """Means and variances [clusters] of the k-means of ages [N], ascending.

    Starts at evenly spaced places among the distinct ages, so it is the same every time.
    Where ages are fewer than clusters, neighbours share an age.
    """
    distinct = np.unique(age_years)
    places = np.linspace(0, len(distinct) - 1, min(clusters, len(distinct))).round().astype(int)
    centres = distinct[places]
    if len(centres) > 1:  # scipy reads a guess of one number as how many to make
        centres = np.sort(kmeans(age_years, centres)[0])
    label, distance = vq(age_years, centres)
    squares = np.bincount(label, distance**2, len(centres))
    variances = squares / np.bincount(label, minlength=len(centres)).clip(1)
    shared = np.arange(clusters) * len(centres) // clusters
    return centres[shared], variances[shared]
