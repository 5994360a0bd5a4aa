"""Rules on versions: metadata, comparison, approval, promotion, retraining, retirement, cards."""
