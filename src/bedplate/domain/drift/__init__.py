"""Drift: compares captured requests, predictions and labels with the baseline, and raises alerts."""

from bedplate.domain.drift.column_drift import ColumnDrift
from bedplate.domain.drift.report import Alert, ColumnQuality, DriftReport, DriftWindow, Performance

__all__ = ["Alert", "ColumnDrift", "ColumnQuality", "DriftReport", "DriftWindow", "Performance"]
