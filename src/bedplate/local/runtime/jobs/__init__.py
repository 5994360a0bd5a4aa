"""Runs training, processing, tuning and monitoring jobs as child processes."""
