"""A chip network ready to run: card, checked session, normalisation, batches."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.errors import CardError
from agelens.imaging.align import Aligner, SimilarityAligner
from agelens.imaging.detectors.base import Detector
from agelens.imaging.rotate_crop import RotateCropAligner
from agelens.imaging.templates import template_named
from agelens.inference.cards import Card
from agelens.records import RGB, Floats
from agelens.sessions import open_session

# Larger batches are no faster on a CPU and their activations cost memory.
BATCH: Final = 32
_SUM_TOLERANCE: Final = 1e-3


class ChipNetwork:
    """Posteriors of a card's classes for chips; safe to share between threads.

    Args:
        card: the network to open.
        device: ``cpu`` or ``cuda``.
        mirror: average the answers for each chip and its mirror image.

    Raises:
        CardError: weights that are not the card's, or a network whose input or output
            does not have the shape that the card states.
    """

    def __init__(self, card: Card, *, device: str = "cpu", mirror: bool = False) -> None:
        self.card = card
        self.mirror = mirror
        self._classes = len(card.age_scale.years if card.age_scale else card.labels)
        self._session = open_session(card.read_weights(), name=card.name, device=device)
        self._input, self._output = self._check_signature()

    def aligner(self, detector: Detector) -> Aligner:
        """The aligner that cuts the chips this network expects."""
        wanted = self.card.input
        if wanted.alignment == "rotate-crop":
            return RotateCropAligner(detector, wanted.size, expand=wanted.margin)
        return SimilarityAligner(template_named(wanted.template), wanted.size, wanted.margin)

    def posteriors(self, chips: RGB) -> Floats:
        """Class probabilities [N, K] for aligned uint8 chips [N, S, S, 3]."""
        parts = [self._run(chips[i : i + BATCH]) for i in range(0, len(chips), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self._classes))

    def _run(self, chips: RGB) -> Floats:
        answers = self._answer(chips)
        if self.mirror:
            answers = (answers + self._answer(chips[:, :, ::-1])) / 2
        return answers

    def _answer(self, chips: RGB) -> Floats:
        spec = self.card.input
        pixels = np.subtract(chips, np.asarray(spec.mean, dtype=np.float32), dtype=np.float32)
        pixels /= np.asarray(spec.std, dtype=np.float32)
        if spec.color_order == "BGR":
            pixels = pixels[..., ::-1]
        blob = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        answers = np.asarray(self._session.run([self._output], {self._input: blob})[0], np.float64)
        sums = answers.sum(axis=1, keepdims=True)
        if not np.all(np.abs(sums - 1) < _SUM_TOLERANCE) or answers.min() < -_SUM_TOLERANCE:
            raise CardError(
                f"{self.card.name}: answers are negative or do not sum to 1, so they are not the "
                "posterior that its card states"
            )
        return np.asarray(answers / sums)

    def _check_signature(self) -> tuple[str, str]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        size = self.card.input.size
        expected = f"one float input [N, 3, {size}, {size}] and one output [N, {self._classes}]"
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0].type == "tensor(float)"
            and not isinstance(inputs[0].shape[0], int)  # N is free
            and list(inputs[0].shape[1:]) == [3, size, size]
            and list(outputs[0].shape[1:]) == [self._classes]
        )
        if not fits:
            got = ", ".join(f"{port.name} {port.type} {port.shape}" for port in (*inputs, *outputs))
            raise CardError(f"{self.card.name}: the card states {expected}; the file has {got}")
        return inputs[0].name, outputs[0].name
