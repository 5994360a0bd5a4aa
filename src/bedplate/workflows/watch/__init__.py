"""Looks after what is live: baselines, monitoring, labels, scorecards."""
