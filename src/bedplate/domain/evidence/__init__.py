"""What gates judge by: metrics and their intervals, calibration, fairness, latency, explanation, leakage."""
