"""What is wrong with a sample table and its pictures, before anything is trained on them."""

from __future__ import annotations

from agelens.data.auditing.auditing import audit
from agelens.data.auditing.duplicates import (
    near_duplicate_groups,
    near_duplicate_pairs,
    nearest_matches,
)
from agelens.data.auditing.pictures import perceptual_hash
from agelens.data.auditing.report import AuditReport, Finding, read_duplicates

__all__ = [
    "AuditReport",
    "Finding",
    "audit",
    "near_duplicate_groups",
    "near_duplicate_pairs",
    "nearest_matches",
    "perceptual_hash",
    "read_duplicates",
]
