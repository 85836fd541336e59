"""What a sample table holds, as figures and a page to look at before anything is trained."""

from __future__ import annotations

from agelens.data.exploration.exploration import explore
from agelens.evaluation.reports.page import PAGE_NAME

__all__ = ["PAGE_NAME", "explore"]
