"""Monitors live models: baselines, drift, labels, schedules, status, scorecards, reports."""
