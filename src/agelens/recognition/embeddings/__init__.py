"""Embeddings of faces beside their labels: one table, one file, one model."""

from __future__ import annotations

from agelens.recognition.embeddings.table import (
    CROPS,
    EMBEDDING_COLUMNS,
    OK,
    Crops,
    EmbeddingModel,
    EmbeddingTable,
    read_embeddings,
    same_model,
    write_embeddings,
)

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
