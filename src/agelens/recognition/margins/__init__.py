"""Margin losses over the identities of a training set, whole, sampled or shared by processes."""

from agelens.recognition.margins.arcface import ArcFace
from agelens.recognition.margins.class_weights import ClassWeights
from agelens.recognition.margins.cosface import CosFace
from agelens.recognition.margins.margin import Margin
from agelens.recognition.margins.margin_loss import MarginLoss
from agelens.recognition.margins.sampled_sgd import SampledSGD

__all__ = ["ArcFace", "ClassWeights", "CosFace", "Margin", "MarginLoss", "SampledSGD"]
