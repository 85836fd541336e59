"""Age-invariant face recognition: whose face it is, across decades.

>>> from agelens.recognition import verify
>>> verify("then.jpg", "now.jpg").same_person  # doctest: +SKIP

A similarity is no proof of identity: the README says what recognition must not be used for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.recognition.embed_faces import embed as embed
    from agelens.recognition.embedding_purifier.train import train_purifier as train_purifier
    from agelens.recognition.embedding_table import EmbeddingTable as EmbeddingTable
    from agelens.recognition.embedding_table import read_embeddings as read_embeddings
    from agelens.recognition.extractors import open_extractor as open_extractor
    from agelens.recognition.folder_search import search as search
    from agelens.recognition.margins import ArcFace as ArcFace
    from agelens.recognition.margins import CosFace as CosFace
    from agelens.recognition.own_extractor import add_extractor as add_extractor
    from agelens.recognition.photo_pair import verify as verify
    from agelens.recognition.protocols.published import run_protocol as run_protocol
    from agelens.recognition.purifier import Purifier as Purifier
    from agelens.recognition.training.branch_choice import BranchChoice as BranchChoice
    from agelens.recognition.training.configuration import IdentityRun as IdentityRun
    from agelens.recognition.training.identity_data import IdentityData as IdentityData
    from agelens.recognition.training.train import train_identity as train_identity

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ArcFace": "agelens.recognition.margins",
        "BranchChoice": "agelens.recognition.training.branch_choice",
        "CosFace": "agelens.recognition.margins",
        "EmbeddingTable": "agelens.recognition.embedding_table",
        "IdentityData": "agelens.recognition.training.identity_data",
        "IdentityRun": "agelens.recognition.training.configuration",
        "Purifier": "agelens.recognition.purifier",
        "add_extractor": "agelens.recognition.own_extractor",
        "embed": "agelens.recognition.embed_faces",
        "open_extractor": "agelens.recognition.extractors",
        "read_embeddings": "agelens.recognition.embedding_table",
        "run_protocol": "agelens.recognition.protocols.published",
        "search": "agelens.recognition.folder_search",
        "train_identity": "agelens.recognition.training.train",
        "train_purifier": "agelens.recognition.embedding_purifier.train",
        "verify": "agelens.recognition.photo_pair",
    },
)
