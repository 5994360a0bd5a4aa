"""Entry points that run inside SageMaker's containers: train, serve, monitor and evaluate. Imports no cloud SDK."""
