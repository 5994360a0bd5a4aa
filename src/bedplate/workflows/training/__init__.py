"""Trains models and registers versions: source code, jobs, software bills of materials, MLflow runs."""
