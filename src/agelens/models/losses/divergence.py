"""Kullback-Leibler divergence of a predicted posterior from a label distribution."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def kl_divergence(labels: Tensor, log_posterior: Tensor) -> Tensor:
    """KL(labels || posterior): summed over classes, averaged over the batch; 0 is a perfect fit.

    The direction and the reduction of DLDL (Gao et al., TIP 2017). Cross entropy with the
    same soft labels is larger by the labels' entropy and has the same gradient. Averaging over
    classes too, as KLDivLoss does unless told otherwise, would make the term K times weaker.

    Args:
        labels: probabilities [B, K]; zeros are allowed.
        log_posterior: natural logarithms of probabilities [B, K].
    """
    return functional.kl_div(log_posterior, labels, reduction="batchmean")
