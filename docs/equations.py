"""The losses of the methods as LaTeX, of which their pages show MathML: no script is fetched.

In all of them a sample has the true age y and the true class t of K; the loss is the mean over
the samples of a batch.
"""

from __future__ import annotations

from latex2mathml.converter import convert

_MEAN = r"m = \sum_{k} p_k a_k"
_VARIANCE = r"v = \sum_{k} p_k (a_k - m)^2"
_SOFTMAX = (r"p_k = \frac{e^{z_k}}{\sum_{j} e^{z_j}}", "of the logits z, over the ages a")
_TASKS = (
    r"p_k = \sigma(z_k) = P(y > a_k), \qquad k = 1, \ldots, K - 1",
    "each task asks whether the face is older than an age",
)
_TASK_LOSS = (
    r"L = -\sum_{k=1}^{K-1} w_k \left( [y > a_k] \log p_k + [y \le a_k] \log (1 - p_k) \right)",
    "the weights w are 1 unless `task_weights` asks for those of the paper",
)
_DIVERGENCE = r"\sum_{k} q_k \log \frac{q_k}{p_k}"
_NORMAL_LABEL = (
    r"q_k \propto \exp \left( -\frac{(a_k - y)^2}{2 \sigma^2} \right)",
    "the label: a normal density, normalised over the scale; its width is `sigma`",
)

EQUATIONS: dict[str, list[tuple[str, str]]] = {
    "l1": [(r"L = |m - y|", "m is the output, in years or in `unit_years`")],
    "l2": [(r"L = (m - y)^2", "m is the output, in years or in `unit_years`")],
    "huber": [
        (
            r"L = \begin{cases} \frac{1}{2} (m - y)^2 & |m - y| \le \delta \\"
            r" \delta \left( |m - y| - \frac{1}{2} \delta \right) & |m - y| > \delta \end{cases}",
            "delta is `delta_years`",
        )
    ],
    "gaussian": [
        (
            r"L = \frac{1}{2} \left( \log v + \frac{(m - y)^2}{v} \right)",
            "mean m and standard deviation, the root of v, are both outputs",
        )
    ],
    "dex": [
        _SOFTMAX,
        (r"L = -\log p_t", "cross entropy"),
        (_MEAN, "the answer is the expected age"),
    ],
    "dldl": [_SOFTMAX, _NORMAL_LABEL, (f"L = {_DIVERGENCE}", "KL divergence")],
    "dldl-v2": [
        _SOFTMAX,
        _NORMAL_LABEL,
        (
            rf"L = {_DIVERGENCE} + \lambda \, |m - y|, \qquad {_MEAN}",
            "KL divergence and the error of the expected age; lambda is `mean_weight`",
        ),
    ],
    "mean-variance": [
        _SOFTMAX,
        (
            r"L = -\log p_t + \frac{\lambda_1}{2} (m - y)^2 + \lambda_2 v",
            "the weights are `mean_weight` and `variance_weight`",
        ),
        (rf"{_MEAN}, \qquad {_VARIANCE}", "mean and variance of the distribution"),
    ],
    "unimodal-concentrated": [
        _SOFTMAX,
        (
            r"L = \frac{1}{2} \left( \log (v + \epsilon) + \frac{(m - y)^2}{v + \epsilon} \right)"
            r" + \lambda \left( \sum_{k < t} \max(0, p_k - p_{k+1})"
            r" + \sum_{k \ge t} \max(0, p_{k+1} - p_k) \right)",
            "the distribution should rise to the true class and fall from it; lambda is "
            "`unimodal_weight`, epsilon `eps`",
        ),
        (rf"{_MEAN}, \qquad {_VARIANCE}", "mean and variance of the distribution"),
    ],
    "amr": [
        _SOFTMAX,
        (
            r"L = -\log p_t + \frac{\lambda_1}{2} (m - y)^2"
            r" - \lambda_2 \sum_{k \in R} p_k \log p_k",
            "R, the residue, is the classes ranked behind the true one (behind the two likeliest "
            "where it is the first); the weights are `mean_weight` and `residue_weight`",
        ),
        (_MEAN, "the expected age"),
    ],
    "sord": [
        _SOFTMAX,
        (
            r"q_k = \frac{e^{-\phi(y, a_k)}}{\sum_{j} e^{-\phi(y, a_j)}},"
            r" \qquad \phi(y, a) = \alpha |y - a|",
            "the label; alpha is 1, and `distance` `squared` takes the square of the difference",
        ),
        (f"L = {_DIVERGENCE}", "KL divergence"),
    ],
    "or-cnn": [
        _TASKS,
        (
            "z_k = z_k^{yes} - z_k^{no}",
            "of a softmax over two outputs a task, unless `two_way` is off",
        ),
        _TASK_LOSS,
    ],
    "coral": [
        (
            r"z_k = w^{\top} x + b_k",
            "one weight vector w on the features x for all tasks, and a bias for each",
        ),
        _TASKS,
        _TASK_LOSS,
    ],
    "corn": [
        (
            r"f_k = \sigma(z_k) = P(y > a_k \mid y > a_{k-1})",
            "each task is asked only of samples that are older than the age before",
        ),
        (
            r"L = -\frac{1}{\sum_{k} |S_k|} \sum_{k=1}^{K-1} \sum_{i \in S_k}"
            r" \left( [y_i > a_k] \log f_{k,i} + [y_i \le a_k] \log (1 - f_{k,i}) \right)",
            "the samples S of a batch of which a task is asked; this is of the whole batch",
        ),
        (r"P(y > a_k) = \prod_{j=1}^{k} f_j", "how the distribution is read"),
    ],
    "drf": [
        (
            r"p(y) = \sum_{l} P(l \mid x) \, \mathcal{N}(y; \mu_l, \sigma_l^2)",
            "of one tree: the probability to come to each leaf, times the leaf's normal density",
        ),
        (
            r"L = -\frac{1}{T} \sum_{\tau=1}^{T} \log p_{\tau}(y)",
            "mean over the T trees; means and variances of the leaves are updated in between",
        ),
    ],
    "rapl": [
        _SOFTMAX,
        (
            rf"L = |m - y| - [\text{{references are there}}] \log \pi_t, \qquad {_MEAN}",
            "pi is a softmax of the position among the reference faces, one for each age",
        ),
    ],
    "ssr-net": [
        (
            r"m = a_1 + V \sum_{j=1}^{J} \frac{\sum_{i} p_{j,i} (i + \lambda_l \eta_{j,i})}"
            r"{\prod_{n \le j} s_n (1 + \lambda_d \Delta_n)}",
            "stage j refines the one before by the weights p of its s bins, counted from 0; eta "
            "shifts bins, Delta stretches ranges; V is the number of years of the scale",
        ),
        (r"L = |m - y|", ""),
    ],
    "c3ae": [
        (
            r"q_i = \max \left( 0, 1 - \left| \frac{y}{d} - i \right| \right)",
            "the label: weights on the two bins beside the age; d is `bin_years`",
        ),
        (
            r"L = |m - y| + \alpha \sum_{i} q_i \log \frac{q_i}{p_i}",
            "m is a linear layer on the bins p; `focal_gamma` takes another second term",
        ),
    ],
}
"""For each method its equations, each with what it is."""


def equations_of(method: str) -> str:
    """Those of a method, as HTML in Markdown."""
    shown = []
    for latex, words in EQUATIONS[method]:
        # On a phone a long one is moved by hand, and not the page.
        shown.append(f'<div style="overflow-x: auto">{convert(latex, display="block")}</div>')
        shown.append(words)
    return "\n\n".join(shown)
