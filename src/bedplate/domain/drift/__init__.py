"""Drift: how far what is asked and answered today is from what was learned, and when that is worth a word."""

from bedplate.domain.drift.answers import AnswerProfile

__all__ = ["AnswerProfile"]
