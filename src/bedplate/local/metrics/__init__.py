"""Stores CloudWatch metrics, and computes statistics, metric math and alarm states."""
