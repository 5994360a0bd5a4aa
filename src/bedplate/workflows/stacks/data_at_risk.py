"""What a destroy would lose for ever: versions, records of the ledger, captured requests, training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from bedplate import ports
from bedplate.domain.formatting import counted
from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, bucket
from bedplate.errors import NotFound, UsageError
from bedplate.workflows.stack_context import Platform
from bedplate.workflows.stacks.cli_resources import Belongings

_ENOUGH = 1000
_CALLED: dict[BucketPurpose, tuple[str, str]] = {
    "artifacts": ("object", "of models, evaluations, baselines and the reconciler"),
    "data": ("object", "of training data and labels"),
    "capture": ("file", "of captured requests"),
    "ledger": ("record", "of the ledger"),
}


@dataclass(frozen=True, slots=True)
class HeldData:
    """`objects` by purpose of their bucket, counted up to 1,000."""

    versions: int
    objects: dict[BucketPurpose, int]

    @property
    def told(self) -> str:
        """In words, empty when nothing is held.

        >>> HeldData(2, {"ledger": 1000, "capture": 0}).told
        '2 versions, 1,000 or more records of the ledger'
        """
        parts = [_many(self.versions, "version")] if self.versions else []
        for purpose, count in self.objects.items():
            thing, whose = _CALLED[purpose]
            if count:
                parts.append(f"{_many(count, thing)} {whose}")
        return ", ".join(parts)


def _many(count: int, thing: str) -> str:
    told = counted(count, thing)
    return told.replace(" ", " or more ", 1) if count >= _ENOUGH else told


def held_data(platform: Platform, held: Sequence[Belongings]) -> HeldData:
    """Count it; a bucket that is gone holds nothing."""
    account = platform.identity.account_id
    objects = {
        p: _count(platform.objects, bucket(platform.project, platform.stack, p, account)) for p in BUCKET_PURPOSES
    }
    return HeldData(sum(len(b.versions) for b in held), objects)


def require_willing(platform: Platform, data: HeldData, *, including_data: bool) -> None:
    """Raises UsageError where the stack's file protects its data, there is some, and nobody said to take it along."""
    if platform.settings.storage.force_destroy or including_data or not data.told:
        return
    raise UsageError(
        f"Stack {platform.stack!r} protects its data (storage.force_destroy is false) and holds {data.told}",
        next_step=f"bedplate destroy --stack {platform.stack} --including-data, which loses all of it for ever",
    )


def remove_data(platform: Platform) -> int:
    """Empty every bucket of the stack; how many objects stay because they are locked.

    Those that AWS delivers logs into may hold new ones a moment later.
    """
    account = platform.identity.account_id
    purposes: tuple[BucketPurpose, ...] = tuple(dict.fromkeys((*BUCKET_PURPOSES, "logs", "trail")))
    return sum(platform.objects.empty(bucket(platform.project, platform.stack, p, account)) for p in purposes)


def _count(objects: ports.Objects, name: str) -> int:
    try:
        return sum(1 for _ in islice(objects.list(f"s3://{name}/"), _ENOUGH))
    except NotFound:
        return 0
