"""The light form of purification: trained on embeddings of any extractor, which stays frozen.

Two cores and seconds are enough for what takes two GPUs and days in full. What comes out is a
small network behind the extractor, see `agelens.recognition.embeddings.purifier`.

Plain torch here and no Lightning: all faces are one tensor in memory, a run is a thousand steps of
a millisecond, and two optimisers that alternate within a batch would need Lightning's manual
mode, which leaves nothing of its loop to gain from.
"""

from __future__ import annotations
