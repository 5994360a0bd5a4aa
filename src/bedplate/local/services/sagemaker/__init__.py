"""SageMaker's control plane: every resource kind as a record, one module per family of operations."""
