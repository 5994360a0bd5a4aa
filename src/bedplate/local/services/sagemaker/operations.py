"""What every part of the SageMaker mend shares: the request, the records, the platform, and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from bedplate.local.hooks import Kind, Record
from bedplate.local.services.records import NOUNS, Records

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class SageMakerOperations(SageMakerResponse):  # type: ignore[misc]
    """Base of the mixins: moto's Response with ways to say create, describe, list and delete of a kind."""

    platform: ClassVar[LocalPlatform]

    @property
    def _records(self) -> Records:
        return self.sagemaker_backend.records  # type: ignore[no-any-return]

    @property
    def _request(self) -> Mapping[str, Any]:
        return self.params  # type: ignore[no-any-return]

    def _name(self, kind: Kind) -> str:
        return str(self._request[NOUNS[kind].name])

    def _created(self, kind: Kind, **more: Any) -> tuple[Record, ActionResult]:
        record = self._records.create(kind, self._request, **more)
        return record, self._arn_of(kind, record)

    def _arn_of(self, kind: Kind, record: Record) -> ActionResult:
        return ActionResult({NOUNS[kind].arn: record[NOUNS[kind].arn]})

    def _described(self, kind: Kind) -> ActionResult:
        return ActionResult(self._records.get(kind, self._name(kind)))

    def _deleted(self, kind: Kind) -> ActionResult:
        self._records.delete(kind, self._name(kind))
        return EmptyResult()

    def _listed(self, kind: Kind, rows: list[Record] | None = None, member: str | None = None) -> ActionResult:
        found, token = self._records.page(kind, self._request, rows)
        return ActionResult({member or NOUNS[kind].listed_as: found, "NextToken": token})
