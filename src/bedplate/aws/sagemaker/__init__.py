"""Adapters over SageMaker: jobs, endpoints, model registry, model cards and monitoring schedules."""
