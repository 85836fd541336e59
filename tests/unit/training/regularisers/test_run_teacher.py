"""A finished run as the teacher: its size and its normalisation count."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torchvision.transforms.v2 import functional as v2

from agelens.training.regularisers import teachers
from agelens.training.regularisers.teachers import teacher_named


def test_a_run_folder_teaches_in_the_form_it_was_trained_on(
    toy, images, tmp_path, monkeypatch
) -> None:
    trained, student = toy(seed=1), toy(seed=0)
    seen = {"size": 12, "mean": [0.2, 0.3, 0.4], "std": [0.5, 0.5, 0.5]}
    run = SimpleNamespace(model=trained, data={"input": seen})
    monkeypatch.setattr(teachers, "open_run", lambda _: run)
    (tmp_path / "weights.safetensors").touch()
    teacher = teacher_named(str(tmp_path), student)
    pixels = images * 0.25 + 0.5  # the toy's own form undone
    own = v2.resize(v2.normalize(pixels, seen["mean"], seen["std"]), [12, 12], antialias=True)
    wanted = trained.method.posterior(trained.eval()(own).age)
    lesson = teacher.predict(images)
    assert lesson.scale == trained.method.scale
    torch.testing.assert_close(lesson.posterior, wanted.detach())
    torch.testing.assert_close(teacher.features(images), trained.backbone(own).detach())
