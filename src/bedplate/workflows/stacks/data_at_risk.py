"""What a destroy would lose for ever: versions, records of the ledger, captured requests, training data."""

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
    """`objects` by purpose of their bucket, counted up to 1,000."""

    versions: int
    objects: dict[BucketPurpose, int]

    @property
    def summary(self) -> str:
        """In words, empty when nothing is held.

        >>> DataAtRisk(2, {"ledger": 1000, "capture": 0}).summary
        '2 versions, 1,000 or more records of the ledger'
        """
        parts = [_format_count(self.versions, "version")] if self.versions else []
        for purpose, count in self.objects.items():
            thing, whose = _CONTENTS[purpose]
            if count:
                parts.append(f"{_format_count(count, thing)} {whose}")
        return ", ".join(parts)


def _format_count(count: int, noun: str) -> str:
    told = format_count(count, noun)
    return told.replace(" ", " or more ", 1) if count >= _MAX_COUNT else told


def count_data(stack: StackContext, resources: Sequence[CliResources]) -> DataAtRisk:
    """Count it; a bucket that is gone holds nothing."""
    account = stack.identity.account_id
    objects = {p: _count(stack.objects, bucket(stack.project, stack.name, p, account)) for p in BUCKET_PURPOSES}
    return DataAtRisk(sum(len(b.versions) for b in resources), objects)


def confirm_data_loss(stack: StackContext, data: DataAtRisk, *, including_data: bool) -> None:
    """Raises UsageError where the stack's file protects its data, there is some, and nobody said to take it along."""
    if stack.settings.storage.force_destroy or including_data or not data.summary:
        return
    raise UsageError(
        f"Stack {stack.name!r} protects its data (storage.force_destroy is false) and holds {data.summary}",
        next_step=f"bedplate destroy --stack {stack.name} --including-data, which loses all of it for ever",
    )


def remove_data(stack: StackContext) -> int:
    """Empty every bucket of the stack; how many objects stay because they are locked.

    Those that AWS delivers logs into may hold new ones a moment later.
    """
    account = stack.identity.account_id
    purposes: tuple[BucketPurpose, ...] = tuple(dict.fromkeys((*BUCKET_PURPOSES, "logs", "trail")))
    return sum(stack.objects.empty_bucket(bucket(stack.project, stack.name, p, account)) for p in purposes)


def _count(objects: ports.Objects, name: str) -> int:
    try:
        return sum(1 for _ in islice(objects.list(f"s3://{name}/"), _MAX_COUNT))
    except NotFound:
        return 0
