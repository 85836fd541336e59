"""A chip network ready to run: card, checked runtime, normalisation, batches."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.errors import CardError, UsageError
from agelens.imaging.align import Aligner, SimilarityAligner, template_named
from agelens.imaging.detectors.base import Detector
from agelens.inference.answers import Answers, OutputSpec, read_answers, survival_probabilities
from agelens.inference.cards import Card, ChipInput
from agelens.inference.runtimes import TORCHSCRIPT, OnnxRuntime, Pixels, Runtime
from agelens.records import RGB, Floats

_SUREST: Final = 1e-12  # probabilities this near to 0 or 1 keep a finite logit


def averageable(answer: Floats, spec: OutputSpec) -> Floats:
    """`answer` [N, width] in a form [N, width] whose mean over faces means something.

    Posteriors are in it already. An age and its spread become the first two moments, so
    that their mean is that of a mixture; ordinal logits become P(older than age k).
    """
    if spec.kind == "mean-spread":
        mean, spread = answer[:, 0], answer[:, 1]
        return np.column_stack([mean, spread**2 + mean**2])
    if spec.kind == "ordinal-logits":
        return survival_probabilities(answer, spec.link)
    return answer


def answer_of(average: Floats, spec: OutputSpec) -> Floats:
    """The answer [N, width] that an average [N, width] of `averageable` forms stands for."""
    if spec.kind == "mean-spread":
        mean, square = average[:, 0], average[:, 1]
        return np.column_stack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
    if spec.kind == "ordinal-logits":
        if spec.link == "conditional":
            before = np.pad(average[:, :-1], ((0, 0), (1, 0)), constant_values=1)
            average = np.divide(average, before, out=np.zeros_like(average), where=before > 0)
        return logits(average)
    return average


def logits(probabilities: Floats) -> Floats:
    """The logit of each probability; 0 and 1 count as 1e-12 from it."""
    inside = np.clip(probabilities, _SUREST, 1 - _SUREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


# What eight chips leave between two layers stays in a processor's cache: 32 at once take a third
# longer each. A network that works on few lets photos be prepared beside it, too.
BATCH: Final = 8
_SUM_TOLERANCE: Final = 1e-3


class ChipNetwork:
    """Answers of a card's network for chips; safe to share between threads.

    Args:
        card: the network to open.
        device: ``cpu`` or ``cuda``.
        mirror: average the answers for each chip and its mirror image.
        runtime: what runs the weights; by default onnxruntime.

    Raises:
        CardError: weights that are not the card's or no ONNX, or a network whose input or
            output does not have the shape that the card states.
        UsageError: a device that this machine lacks.
    """

    def __init__(
        self,
        card: Card,
        *,
        device: str = "cpu",
        mirror: bool = False,
        runtime: Runtime | None = None,
    ) -> None:
        self.card = card
        self.mirror = mirror
        if runtime is None and card.weights.name.lower().endswith(TORCHSCRIPT):
            raise CardError(
                f"{card.name}: {card.weights.name} is TorchScript, a program that could do "
                "anything, so agelens does not run it. Use its ONNX: agelens export RUN"
            )
        self._runtime = runtime or OnnxRuntime(
            card.read_weights(),
            name=card.name,
            size=card.input.size,
            width=card.width,
            outputs=card.outputs,
            device=device,
        )

    def aligner(self, detector: Detector) -> Aligner:
        """The aligner that cuts the chips this network expects.

        Raises:
            UsageError: its chips were aligned by the owner of the training data, and nobody
                said in which frame.
        """
        return aligner_of(self.card, detector)

    def answers(self, chips: RGB) -> Floats:
        """What the network answers [N, K] for aligned uint8 chips [N, S, S, 3].

        The card's `answer` says what the numbers are, but for what an age network tells beside
        ages, which `answers_and_told` gives. Where the face is averaged with its
        mirror image, they are those of the mean; see `agelens.inference.network`.

        Raises:
            CardError: the answers are not what the card says.
        """
        return self.answers_and_told(chips)[0]

    def answers_and_told(self, chips: RGB) -> tuple[Floats, Floats]:
        """As `answers`, and the probabilities [N, words] of the card's `told`.

        An age network that tells ages alone has 0 of them; a gender network's are its answers.
        """
        parts = [self._run(chips[i : i + BATCH]) for i in range(0, len(chips), BATCH)]
        rows = np.concatenate(parts) if parts else np.empty((0, self.card.width))
        if self.card.answer is None:
            return rows, rows
        ages = self.card.answer.width
        return rows[:, :ages], rows[:, ages:]

    def read(self, answers: Floats) -> Answers:
        """Ages of answers [N, width] of an age network.

        Raises:
            CardError: the answers are not what the card says.
        """
        assert self.card.answer is not None  # noqa: S101 - a network of another task has no ages
        try:
            return read_answers(answers, self.card.answer)
        except ValueError as error:
            raise self._not_as_stated(str(error)) from error

    def _run(self, chips: RGB) -> Floats:
        answers = self._answer(chips)
        if not self.mirror:
            return answers
        mirrored = self._answer(chips[:, :, ::-1])
        mean, spec = (answers + mirrored) / 2, self.card.answer
        if spec is not None:
            both = [averageable(rows[:, : spec.width], spec) for rows in (answers, mirrored)]
            mean[:, : spec.width] = answer_of((both[0] + both[1]) / 2, spec)
        return mean

    def _answer(self, chips: RGB) -> Floats:
        answers = np.asarray(self._runtime(normalised(chips, self.card.input)), dtype=np.float64)
        if answers.shape != (len(chips), self.card.width):
            raise self._not_as_stated(f"{len(chips)} chips gave answers {list(answers.shape)}")
        if not np.isfinite(answers).all():
            raise self._not_as_stated("an answer holds NaN or infinity")
        ages = 0 if self.card.answer is None else self.card.answer.width
        if self.card.output_kind == "posterior" and ages:
            answers[:, :ages] = self._posterior(answers[:, :ages])
        for words in self.card.told.values():
            answers[:, ages : ages + len(words)] = self._posterior(
                answers[:, ages : ages + len(words)]
            )
            ages += len(words)
        return answers

    def _posterior(self, answers: Floats) -> Floats:
        sums = answers.sum(axis=1, keepdims=True)
        if not answers.size:
            return answers
        if (np.abs(sums - 1) >= _SUM_TOLERANCE).any() or answers.min() < -_SUM_TOLERANCE:
            raise self._not_as_stated("answers are negative or do not sum to 1")
        positive = np.maximum(answers, 0)
        return np.asarray(positive / positive.sum(axis=1, keepdims=True))

    def _not_as_stated(self, what: str) -> CardError:
        return CardError(
            f"{self.card.name}: {what}, so its answers are not the {self.card.output_kind} that "
            "its card states"
        )


def normalised(chips: RGB, wanted: ChipInput) -> Pixels:
    """What a network gets [N, 3, S, S] for chips uint8 [N, S, S, 3] of the size it wants."""
    pixels = np.subtract(chips, np.asarray(wanted.mean, dtype=np.float32), dtype=np.float32)
    pixels /= np.asarray(wanted.std, dtype=np.float32)
    if wanted.color_order == "BGR":
        pixels = pixels[..., ::-1]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def aligner_of(card: Card, detector: Detector) -> Aligner:
    """The aligner that cuts the chips the network of `card` expects.

    Raises:
        UsageError: its chips were aligned by the owner of the training data, and nobody said
            in which frame.
    """
    wanted = card.input
    if wanted.alignment == "as-shipped":
        raise UsageError(
            f"{card.name} was trained on chips that their owner had aligned, and does not know "
            "how to cut photos alike. Give it such chips (agelens estimate --aligned, in Python "
            "AgeEstimator(aligned=True)), or say which frame they show, and photos will be cut "
            "so: agelens export RUN --template dlib-64 --margin 0"
        )
    if wanted.alignment == "rotate-crop":
        from agelens.imaging.rotate_crop import RotateCropAligner  # noqa: PLC0415 - few ask for it

        return RotateCropAligner(detector, wanted.size, expand=wanted.margin)
    template = template_named(wanted.template)
    return SimilarityAligner(template, wanted.size, wanted.margin, wanted.fill)
