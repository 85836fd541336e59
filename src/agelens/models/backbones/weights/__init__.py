"""Starting weights of a backbone: random, packaged, timm's own, or a local file."""

from agelens.models.backbones.weights.key_report import KeyLine, KeyReport
from agelens.models.backbones.weights.starting import STARTS, load_starting_weights
from agelens.models.backbones.weights.subnormals import flush_subnormals

__all__ = ["STARTS", "KeyLine", "KeyReport", "flush_subnormals", "load_starting_weights"]
