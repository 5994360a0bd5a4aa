"""Base of the SageMaker operations: the request, the records, and the operations that most kinds share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from bedplate.local.hooks import KindName, Record
from bedplate.local.services.records import RECORD_KINDS, Records

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class SageMakerOperations(SageMakerResponse):  # type: ignore[misc]
    """Base of the mixins: moto's Response with methods that create, find, list and delete records of a kind."""

    platform: ClassVar[LocalPlatform]

    @property
    def _records(self) -> Records:
        return self.sagemaker_backend.records  # type: ignore[no-any-return]

    @property
    def _request(self) -> Mapping[str, Any]:
        return self.params  # type: ignore[no-any-return]

    def _name(self, kind: KindName) -> str:
        return str(self._request[RECORD_KINDS[kind].id_field])

    def _find(self, kind: KindName) -> Record:
        return self._records.get(kind, self._name(kind))

    def _create(self, kind: KindName, **extra_fields: Any) -> tuple[Record, ActionResult]:
        record = self._records.create(kind, self._request, **extra_fields)
        return record, self._arn_response(kind, record)

    def _arn_response(self, kind: KindName, record: Record) -> ActionResult:
        return ActionResult({RECORD_KINDS[kind].arn_field: record[RECORD_KINDS[kind].arn_field]})

    def _delete(self, kind: KindName) -> ActionResult:
        self._records.delete(kind, self._name(kind))
        return EmptyResult()

    def _list(self, kind: KindName, rows: list[Record] | None = None) -> ActionResult:
        page, token = self._records.list_page(kind, self._request, rows)
        return ActionResult({RECORD_KINDS[kind].list_field: page, "NextToken": token})


Operation = Callable[[SageMakerOperations], ActionResult]
"""A method of a mixin; the functions below build those that are the same for many kinds."""


def create_operation(kind: KindName) -> Operation:
    return lambda self: self._create(kind)[1]


def describe_operation(kind: KindName) -> Operation:
    return lambda self: ActionResult(self._find(kind))


def list_operation(kind: KindName) -> Operation:
    return lambda self: self._list(kind)


def delete_operation(kind: KindName) -> Operation:
    return lambda self: self._delete(kind)


def update_operation(kind: KindName) -> Operation:
    """Returns an operation that merges every field of the request except the name into the record."""

    def update(self: SageMakerOperations) -> ActionResult:
        changes = {k: v for k, v in self._request.items() if k != RECORD_KINDS[kind].id_field}
        return self._arn_response(kind, self._records.update(kind, self._name(kind), changes))

    return update
