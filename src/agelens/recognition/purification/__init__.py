"""Taking age out of identity embeddings."""

from agelens.recognition.purification.club import SampledCLUB
from agelens.recognition.purification.self_purification import SelfPurification

__all__ = ["SampledCLUB", "SelfPurification"]
