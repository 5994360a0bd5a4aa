"""Adapters over SageMaker: jobs, endpoints, model registry, model cards, monitoring schedules."""
