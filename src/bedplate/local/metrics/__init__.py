"""Stores CloudWatch metrics; computes statistics, metric math and alarm states."""
