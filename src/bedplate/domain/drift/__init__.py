"""Drift: how far what is asked and answered today is from what was learned, and when that is worth a word."""

from bedplate.domain.drift.compare import Drift
from bedplate.domain.drift.report import Alert, DriftReport, Performance, Quality, Window

__all__ = ["Alert", "Drift", "DriftReport", "Performance", "Quality", "Window"]
