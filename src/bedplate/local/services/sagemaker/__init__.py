"""SageMaker's control plane: stores every kind of resource as a record; one module per family of operations."""
