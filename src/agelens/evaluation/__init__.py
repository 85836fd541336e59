"""Evaluation: from predictions to knowledge, without torch."""
