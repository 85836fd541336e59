"""Label distributions: an age becomes a probability for every class of the scale.

All are a softmax of negative distances, so that they sum to 1 on any scale, also for an age
beyond its ends, where plain exponentials would all be 0.
"""

from __future__ import annotations

from torch import Tensor

from agelens.models.losses.distances import AgeDistance


def gaussian_labels(age_years: Tensor, sigma_years: Tensor, years: Tensor) -> Tensor:
    """Normal density at each class, normalised over the scale (Gao et al., DLDL, TIP 2017).

    An age of 30 with a sigma of 2 on a yearly scale gives class 30 a probability of 0.1995.

    Args:
        age_years: float [B].
        sigma_years: float [B], above 0.
        years: the scale's ages, float [K].

    Returns:
        float [B, K].
    """
    standardised = (years - age_years[:, None]) / sigma_years[:, None]
    return (-standardised.square() / 2).softmax(dim=1)


def distance_labels(age_years: Tensor, years: Tensor, distance: AgeDistance) -> Tensor:
    """Probability exp(-distance), normalised (Diaz & Marathe, SORD, CVPR 2019).

    An age of 30 under |.| on a yearly scale gives class 30 a probability of 0.462.

    Args:
        age_years: float [B].
        years: the scale's ages, float [K].
        distance: how far each class is from the age.

    Returns:
        float [B, K].
    """
    return (-distance(age_years[:, None], years)).softmax(dim=1)
