"""Commands that train, evaluate, approve, deploy and roll back model versions."""
