"""Runs training, processing, tuning and monitoring jobs as subprocesses."""
