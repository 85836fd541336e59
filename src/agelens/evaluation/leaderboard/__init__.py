"""The leaderboard: one line for each model and test set, with what it takes to believe it."""

from __future__ import annotations

from agelens.evaluation.leaderboard.entry import LeaderboardEntry, RunFacts, leaderboard_entries
from agelens.evaluation.leaderboard.markdown import leaderboard_markdown

__all__ = ["LeaderboardEntry", "RunFacts", "leaderboard_entries", "leaderboard_markdown"]
