"""From the name of a teacher in a configuration to the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agelens.errors import UnknownNameError
from agelens.inference.cards import MODELS, load_card
from agelens.models.age_model import AgeModel
from agelens.training.regularisers.teachers import ModelTeacher, PackagedTeacher, Teacher
from agelens.training.run_folder import RunFolder

START: Final = "start"


def teacher_named(name: str, student: AgeModel) -> Teacher:
    """The teacher that `name` stands for.

    Args:
        name: ``start`` for a copy of `student` as it is now; a run folder; or a packaged
            model or a card, as `load_card` takes it.
        student: the model that will be taught.

    Raises:
        UnknownNameError: it stands for nothing.
        CardError: a card that is malformed, or of another task.
        TrainingError: a run folder whose weights cannot be read.
    """
    if name == START:
        return ModelTeacher(student, student.backbone)
    if RunFolder(Path(name)).weights.is_file():
        # That module knows all parts of a configuration, regularisers too.
        from agelens.training.trained_run import load_run  # noqa: PLC0415

        run = load_run(name)
        seen = run.data["input"]
        form = seen["mean"], seen["std"]
        return ModelTeacher(run.model, student.backbone, size=seen["size"], form=form)
    if name not in MODELS and not Path(name).exists():
        raise UnknownNameError("teacher", name, (START, *MODELS), " A run folder works too.")
    return PackagedTeacher(load_card(name), student.backbone)
