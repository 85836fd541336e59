"""What a sample table holds, as figures and a page to look at before anything is trained."""

from __future__ import annotations

from agelens.data.exploration.exploration import PAGE_NAME, explore

__all__ = ["PAGE_NAME", "explore"]
