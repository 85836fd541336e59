"""Curves: drawn from the log, replaced whole, and showing what the log says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.errors import OutputError, UsageError
from agelens.training.callbacks import LearningCurves
from agelens.training.callbacks.learning_curves import band_figure, draw_curves, run_figure
from agelens.training.run_folder import RunFolder


def _history(epochs: int, **columns) -> pd.DataFrame:
    epoch = np.arange(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "step": 10 * (epoch + 1),
            "lr": 1e-3 * 0.5**epoch,
            "train/loss": 4 * 0.8**epoch,
            "train/mae": 5 * 0.8**epoch,
            "train/cs5": 0.5 + 0.02 * epoch,
            "valid/loss": 4 * 0.85**epoch,
            "valid/mae": 6 + (epoch - 3) ** 2 / 4,
            "valid/cs5": 0.4 + 0.02 * epoch,
            "valid/ca3": 0.3 + 0.02 * epoch,
            **columns,
        }
    )


def _drawn(panel, label: str):
    (line,) = (line for line in panel.lines if line.get_label() == label)
    return line


@pytest.mark.parametrize("epochs", [1, 6])
def test_panels_show_the_log(epochs: int) -> None:
    history = _history(epochs)
    loss, error, shares, rate = run_figure(history).axes
    np.testing.assert_allclose(_drawn(loss, "train").get_ydata(), history["train/loss"])
    np.testing.assert_allclose(_drawn(loss, "valid").get_xdata(), history["epoch"] + 1)
    np.testing.assert_allclose(_drawn(error, "valid").get_ydata(), history["valid/mae"])
    np.testing.assert_allclose(_drawn(error, "train").get_ydata(), history["train/mae"])
    np.testing.assert_allclose(
        _drawn(shares, "train, CS@5").get_ydata(), 100 * history["train/cs5"]
    )
    np.testing.assert_allclose(
        _drawn(shares, "valid, CA@3").get_ydata(), 100 * history["valid/ca3"]
    )
    np.testing.assert_allclose(
        _drawn(shares, "valid, CS@5").get_ydata(), 100 * history["valid/cs5"]
    )
    np.testing.assert_allclose(_drawn(rate, "learning rate").get_ydata(), history["lr"])


def test_the_best_epoch_is_marked() -> None:
    error = run_figure(_history(6)).axes[1]
    (star,) = (line for line in error.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (4, 6.0)
    assert [text.get_text() for text in error.texts] == ["6.00"]


def test_a_rate_of_zero_is_drawn_too() -> None:
    rate = run_figure(_history(2, lr=[1e-3, 0.0])).axes[3]
    assert rate.get_yscale() == "linear"


def test_bands_are_drawn_in_the_order_of_age_where_they_have_samples() -> None:
    ages = {"valid/mae/70+": [9.0, 8.0], "valid/mae/0-9": [3.0, 2.0]}
    (panel,) = band_figure(_history(2, **ages)).axes
    assert [line.get_label() for line in panel.lines] == ["0-9", "70+", "all"]
    np.testing.assert_array_equal(_drawn(panel, "70+").get_ydata(), [9, 8])


def test_a_log_without_bands_has_no_picture_of_them() -> None:
    assert band_figure(_history(2)) is None


def test_pictures_are_new_after_each_epoch(toy, fit, tmp_path) -> None:
    sizes = []

    class Log(LearningCurves):
        """Writes what the trainer would, then draws."""

        def on_train_epoch_end(self, trainer, pl_module) -> None:
            epochs = trainer.current_epoch + 1
            bands = {"valid/mae/20-29": np.linspace(5, 4, epochs)}
            _history(epochs, **bands).to_csv(tmp_path / "metrics.csv", index=False)
            super().on_train_epoch_end(trainer, pl_module)
            sizes.append((tmp_path / "curves.png").read_bytes())

    fit(toy(), Log(time_share=1), epochs=2)
    assert sizes[0] != sizes[1]
    for name in ("curves.png", "curves-ages.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 400
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".png", ".png"]


def test_short_epochs_wait_for_the_end(toy, fit, tmp_path) -> None:
    seen = []

    class Log(LearningCurves):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            _history(trainer.current_epoch + 1).to_csv(tmp_path / "metrics.csv", index=False)
            super().on_train_epoch_end(trainer, pl_module)
            seen.append((tmp_path / "curves.png").exists())

    fit(toy(), Log(), epochs=2)
    assert seen == [False, False]
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_out_of_range_is_refused(share) -> None:
    with pytest.raises(UsageError, match="above 0 to 1"):
        LearningCurves(time_share=share)


def test_what_cannot_be_written_keeps_the_last_picture(tmp_path) -> None:
    _history(2).to_csv(tmp_path / "metrics.csv", index=False)
    (tmp_path / "curves.png").mkdir()
    (tmp_path / "curves.png" / "occupied").touch()
    with pytest.raises(OutputError, match="cannot write"):
        draw_curves(RunFolder(tmp_path))
    assert (tmp_path / "curves.png" / "occupied").exists()
