"""What runs inside SageMaker's containers: train, serve, monitor, evaluate; no cloud SDK, imports when needed."""
