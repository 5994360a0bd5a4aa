"""The reconciler: retrains, deploys and rolls back without a person, with the permissions of a data scientist."""

from personas.data_scientist import statements

__all__ = ["statements"]
