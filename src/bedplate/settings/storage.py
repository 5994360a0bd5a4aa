"""`storage:` of the stack file: how many days each kind of object is kept."""

from __future__ import annotations

from bedplate.settings.types import Days, StrictModel


class PrivacyRetention(StrictModel):
    """Maximum days that data is kept when a column of its contract has this privacy class; None is no limit."""

    personal: Days | None = None
    sensitive: Days | None = None


class Storage(StrictModel):
    artifact_retention_days: Days = 365
    """Reports of Model Monitor. Models never expire."""
    data_retention_days: Days = 730
    """Datasets and labels; a data contract may shorten it."""
    capture_retention_days: Days = 90
    """Captured requests and predictions; a data contract may shorten it."""
    access_log_retention_days: Days = 90
    """S3 server access logs of every bucket."""
    privacy_retention_days: PrivacyRetention = PrivacyRetention()
    """Shortens the retention of datasets, labels and captured requests of models with columns of the class."""
    force_destroy: bool = False
    """Whether `destroy` may delete buckets that still hold objects; never set it in production."""
