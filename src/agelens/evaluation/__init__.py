"""Evaluation: predictions, models and runs in, figures with intervals and a page out.

>>> from agelens.evaluation import evaluate
>>> evaluate("ages.csv", labels="labels.csv").to_html("page.html")  # doctest: +SKIP

Tables are paths, pandas frames, `PredictionsTable`s, or runs of `agelens.training`. What comes
back has ``to_frame()``, ``to_dict()``, ``to_html(path)`` and ``save(folder)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.evaluation.measuring import evaluate as evaluate
    from agelens.evaluation.measuring import gate as gate
    from agelens.evaluation.measuring import nist as nist
    from agelens.evaluation.metrics import METRICS as METRICS
    from agelens.workflows.calibrate import calibrate as calibrate
    from agelens.workflows.compare import compare as compare
    from agelens.workflows.explain import explain as explain
    from agelens.workflows.predict import predict as predict
    from agelens.workflows.statement import statement as statement
    from agelens.workflows.stress import stress as stress

_WORKFLOWS = ("calibrate", "compare", "explain", "predict", "statement", "stress")

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        **dict.fromkeys(("evaluate", "gate", "nist"), "agelens.evaluation.measuring"),
        "METRICS": "agelens.evaluation.metrics",
        **{name: f"agelens.workflows.{name}" for name in _WORKFLOWS},
    },
)
