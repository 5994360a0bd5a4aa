"""Counts the data that a destroy would delete permanently: versions, ledger records, captured requests, training
data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from bedplate import ports
from bedplate.domain.formatting import format_count
from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, bucket
from bedplate.errors import NotFound, UsageError
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.stacks.cli_resources import CliResources

_MAX_COUNT = 1000
_CONTENTS: dict[BucketPurpose, tuple[str, str]] = {
    "artifacts": ("object", "of models, evaluations, baselines and the reconciler"),
    "data": ("object", "of training data and labels"),
    "capture": ("file", "of captured requests"),
    "ledger": ("record", "of the ledger"),
}


@dataclass(frozen=True, slots=True)
class DataAtRisk:
    """`objects` are by bucket purpose, counted up to 1,000."""

    versions: int
    objects: dict[BucketPurpose, int]

    @property
    def summary(self) -> str:
        """Returns the counts in words, empty if there is no data.

        >>> DataAtRisk(2, {"ledger": 1000, "capture": 0}).summary
        '2 versions, 1,000 or more records of the ledger'
        """
        parts = [_format_count(self.versions, "version")] if self.versions else []
        for purpose, count in self.objects.items():
            noun, contents = _CONTENTS[purpose]
            if count:
                parts.append(f"{_format_count(count, noun)} {contents}")
        return ", ".join(parts)


def _format_count(count: int, noun: str) -> str:
    text = format_count(count, noun)
    return text.replace(" ", " or more ", 1) if count >= _MAX_COUNT else text


def count_data(stack: StackContext, resources: Sequence[CliResources]) -> DataAtRisk:
    """Counts the data; a bucket that does not exist counts as empty."""
    account = stack.identity.account_id
    objects = {
        purpose: _count(stack.objects, bucket(stack.project, stack.name, purpose, account))
        for purpose in BUCKET_PURPOSES
    }
    return DataAtRisk(sum(len(model_resources.versions) for model_resources in resources), objects)


def confirm_data_loss(stack: StackContext, data: DataAtRisk, *, including_data: bool) -> None:
    """Raises UsageError if the stack's file protects its data, there is some, and `including_data` is False."""
    if stack.settings.storage.force_destroy or including_data or not data.summary:
        return
    raise UsageError(
        f"Stack {stack.name!r} protects its data (storage.force_destroy is false) and holds {data.summary}",
        next_step=f"bedplate destroy --stack {stack.name} --including-data, which deletes all of it permanently",
    )


def remove_data(stack: StackContext) -> int:
    """Empties every bucket of the stack; returns the number of objects that stay because they are locked.

    Buckets into which AWS delivers logs may have new objects a moment later.
    """
    account = stack.identity.account_id
    purposes: tuple[BucketPurpose, ...] = tuple(dict.fromkeys((*BUCKET_PURPOSES, "logs", "trail")))
    return sum(stack.objects.empty_bucket(bucket(stack.project, stack.name, p, account)) for p in purposes)


def _count(objects: ports.Objects, name: str) -> int:
    try:
        return sum(1 for _ in islice(objects.list(f"s3://{name}/"), _MAX_COUNT))
    except NotFound:
        return 0
