"""Starting weights of a backbone: random, packaged, timm's own, or a local file."""

from agelens.models.backbones.weights.files import KeyLine, KeyReport, flush_subnormals
from agelens.models.backbones.weights.starting import STARTS, load_starting_weights

__all__ = ["STARTS", "KeyLine", "KeyReport", "flush_subnormals", "load_starting_weights"]
