"""Commands for baselines, drift, labels and reports."""
