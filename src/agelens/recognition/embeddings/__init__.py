"""Embeddings of faces beside their labels: one table, one file, one model."""

from __future__ import annotations

from agelens.recognition.embeddings.columns import EMBEDDING_COLUMNS, OK
from agelens.recognition.embeddings.files import read_embeddings, write_embeddings
from agelens.recognition.embeddings.model import CROPS, Crops, EmbeddingModel
from agelens.recognition.embeddings.table import EmbeddingTable, same_model

__all__ = [
    "CROPS",
    "EMBEDDING_COLUMNS",
    "OK",
    "Crops",
    "EmbeddingModel",
    "EmbeddingTable",
    "read_embeddings",
    "same_model",
    "write_embeddings",
]
