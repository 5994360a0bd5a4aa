"""Drift: how far what is asked and answered today is from what was learned, and when that is worth a word."""

from bedplate.domain.drift.compare import ColumnDrift
from bedplate.domain.drift.report import Alert, ColumnQuality, DriftReport, DriftWindow, Performance

__all__ = ["Alert", "ColumnDrift", "ColumnQuality", "DriftReport", "DriftWindow", "Performance"]
