"""Stores SageMaker resources as plain dicts: creates, finds, lists, deletes and tags them by kind.

A record is the request that created the resource plus the fields that AWS adds (ARN, times, status). A whole record can
be returned, because moto's serializer drops the fields that the operation's response shape does not have. Times are
epoch seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from bedplate.local.hooks import KindName, Record
from bedplate.local.services.installation import AwsApiError

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class RecordKind:
    """How the SageMaker API names the fields, the list and the errors of one kind of resource.

    `noun` is the prefix of its fields (`TrainingJob` of `TrainingJobName`). `list_field` is the list in the response of
    its List operation. Codes and messages are SageMaker's; messages are templates with `{kind}`, `{name}` and `{arn}`.
    """

    kind: KindName
    noun: str
    list_field: str
    status_field: str = ""
    missing_message: str = 'Could not find {kind} "{arn}".'
    missing_code: str = "ValidationException"
    exists_message: str = 'Cannot create already existing {kind} "{arn}".'
    exists_code: str = "ValidationException"
    is_identified_by_arn: bool = False
    is_listed_oldest_first: bool = False

    @property
    def id_field(self) -> str:
        return self.arn_field if self.is_identified_by_arn else f"{self.noun}Name"

    @property
    def arn_field(self) -> str:
        return f"{self.noun}Arn"


RECORD_KINDS: dict[KindName, RecordKind] = {
    record_kind.kind: record_kind
    for record_kind in (
        RecordKind("model", "Model", "Models"),
        RecordKind(
            "endpoint-config",
            "EndpointConfig",
            "EndpointConfigs",
            missing_message='Could not find endpoint configuration "{arn}".',
            exists_message='Cannot create already existing endpoint configuration "{arn}".',
        ),
        RecordKind("endpoint", "Endpoint", "Endpoints", "EndpointStatus"),
        RecordKind(
            "training-job",
            "TrainingJob",
            "TrainingJobSummaries",
            "TrainingJobStatus",
            missing_message="Requested resource not found.",
            exists_message="Training job names must be unique within an AWS account and region, and a training job "
            "with this name already exists ({arn})",
            exists_code="ResourceInUse",
            is_listed_oldest_first=True,
        ),
        RecordKind(
            "processing-job",
            "ProcessingJob",
            "ProcessingJobSummaries",
            "ProcessingJobStatus",
            missing_message="Could not find requested job with name: {name}",
            exists_message="Job name must be unique within an AWS account and region, and a job with this name already "
            "exists ({arn})",
            exists_code="ResourceInUse",
            is_listed_oldest_first=True,
        ),
        RecordKind(
            "model-package-group",
            "ModelPackageGroup",
            "ModelPackageGroupSummaryList",
            missing_message="ModelPackageGroup {arn} does not exist.",
            exists_message="Model Package Group already exists: {arn}",
            is_listed_oldest_first=True,
        ),
        RecordKind(
            "model-package",
            "ModelPackage",
            "ModelPackageSummaryList",
            "ModelApprovalStatus",
            missing_message="ModelPackage {name} does not exist.",
            is_identified_by_arn=True,
            is_listed_oldest_first=True,
        ),
        *(
            RecordKind(
                kind,
                "JobDefinition",
                "JobDefinitionSummaries",
                missing_message="Job Definition {arn} not found",
                missing_code="ResourceNotFound",
                exists_message="Job Definition {arn} already exists",
                exists_code="ResourceInUse",
            )
            for kind in (
                "data-quality-job-definition",
                "model-quality-job-definition",
                "model-bias-job-definition",
                "model-explainability-job-definition",
            )
        ),
        RecordKind(
            "monitoring-schedule",
            "MonitoringSchedule",
            "MonitoringScheduleSummaries",
            "MonitoringScheduleStatus",
            missing_message="Monitoring Schedule {arn} not found",
            missing_code="ResourceNotFound",
            exists_message="Monitoring Schedule {arn} already exists",
            exists_code="ResourceInUse",
        ),
        RecordKind(
            "monitoring-execution",
            "ProcessingJob",  # AWS identifies a monitoring execution by the ARN of its processing job
            "MonitoringExecutionSummaries",
            "MonitoringExecutionStatus",
            is_identified_by_arn=True,
        ),
        RecordKind(
            "mlflow-tracking-server",
            "TrackingServer",
            "TrackingServerSummaries",
            "TrackingServerStatus",
            missing_message="Tracking server with name {name} does not exist.",
            missing_code="ResourceNotFound",
            exists_message="Tracking server with name {name} already exists.",
            exists_code="ConflictException",
        ),
        RecordKind(
            "hyper-parameter-tuning-job",
            "HyperParameterTuningJob",
            "HyperParameterTuningJobSummaries",
            "HyperParameterTuningJobStatus",
            missing_message="Amazon SageMaker can't find a tuning job with the name {name}.",
            missing_code="ResourceNotFound",
            exists_message="Tuning job names must be unique within an AWS account and region, and a tuning job with "
            "this name already exists ({arn})",
            exists_code="ResourceInUse",
        ),
        RecordKind(
            "pipeline",
            "Pipeline",
            "PipelineSummaries",
            "PipelineStatus",
            missing_message="Pipeline '{arn}' does not exist.",
            missing_code="ResourceNotFound",
            exists_message="Pipeline names must be unique within an AWS account and region. Pipeline with name "
            "({name}) already exists.",
        ),
        RecordKind(
            "pipeline-execution",
            "PipelineExecution",
            "PipelineExecutionSummaries",
            missing_message="Pipeline execution with ARN {name} does not exist.",
            missing_code="ResourceNotFound",
            is_identified_by_arn=True,
        ),
    )
}


class Records:
    """All records of one region by kind and name, and the tags of each ARN; held by moto's SageMaker backend."""

    platform: ClassVar[LocalPlatform]  # on the class, because instances are pickled

    def __init__(self, region: str, account_id: str) -> None:
        self._prefix = f"arn:aws:sagemaker:{region}:{account_id}:"
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in RECORD_KINDS}
        self.tags: dict[str, dict[str, str]] = {}

    def __getitem__(self, kind: KindName) -> dict[str, Record]:
        return self.tables.setdefault(kind, {})

    def arn(self, kind: KindName, name: str) -> str:
        """Returns the ARN of a name; an ARN is returned unchanged."""
        return name if name.startswith("arn:") else f"{self._prefix}{kind}/{name}"

    def create(self, kind: KindName, request: Mapping[str, Any], **extra_fields: Any) -> Record:
        """Stores and returns the record of a Create request. Raises SageMaker's AwsApiError when the name exists."""
        record_kind = RECORD_KINDS[kind]
        name = extra_fields.get(record_kind.id_field) or request[record_kind.id_field]
        if name in self[kind]:
            raise self._error(record_kind.exists_code, record_kind.exists_message, kind, name)
        return self.add(kind, name, {**request, **extra_fields})

    def add(self, kind: KindName, name: str, record: Mapping[str, Any]) -> Record:
        """Stores a copy of a record and returns it. Adds the name, the ARN and the times where they are missing."""
        record_kind, now = RECORD_KINDS[kind], self.platform.now()
        names = {record_kind.id_field: name, record_kind.arn_field: self.arn(kind, name)}
        added: Record = {**names, "CreationTime": now, "LastModifiedTime": now, **to_plain(record)}
        self.tag(added[record_kind.arn_field], added.pop("Tags", None) or [])
        self[kind][name] = added
        return added

    def get(self, kind: KindName, name: str) -> Record:
        """Returns the record with this name or ARN. Raises SageMaker's AwsApiError when it does not exist."""
        record_kind = RECORD_KINDS[kind]
        key = name.rsplit("/", 1)[-1] if name.startswith("arn:") and not record_kind.is_identified_by_arn else name
        if key not in self[kind]:
            raise self._error(record_kind.missing_code, record_kind.missing_message, kind, name)
        return self[kind][key]

    def delete(self, kind: KindName, name: str) -> Record:
        record = self.get(kind, name)
        del self[kind][record[RECORD_KINDS[kind].id_field]]
        self.tags.pop(record[RECORD_KINDS[kind].arn_field], None)
        return record

    def update(self, kind: KindName, name: str, changes: Mapping[str, Any]) -> Record:
        """Merges changes into a record and returns it; a value of None removes its key."""
        record = self.get(kind, name)
        for key, value in to_plain(changes).items():
            if value is None:
                record.pop(key, None)
            else:
                record[key] = value
        record["LastModifiedTime"] = self.platform.now()
        return record

    def list_page(
        self, kind: KindName, request: Mapping[str, Any], rows: Iterable[Record] | None = None
    ) -> tuple[list[Record], str | None]:
        """Returns one page of a List call, filtered and sorted as requested, and the token of the next page, if any.

        Lists `rows` instead of all records of the kind, if given.
        """
        record_kind = RECORD_KINDS[kind]
        matches = [r for r in (self[kind].values() if rows is None else rows) if _matches(r, record_kind, request)]
        sort_fields = {"Name": record_kind.id_field, "Status": record_kind.status_field}
        sort_field = sort_fields.get(str(request.get("SortBy")), "CreationTime")
        order = request.get("SortOrder", "Ascending" if record_kind.is_listed_oldest_first else "Descending")
        matches.sort(key=lambda r: r.get(sort_field, ""), reverse=order == "Descending")
        return page_of(matches, request.get("NextToken"), int(request.get("MaxResults") or _PAGE_SIZE))

    def tag(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        self.tags.setdefault(arn, {}).update({t["Key"]: t.get("Value", "") for t in tags})

    def untag(self, arn: str, keys: Iterable[str]) -> None:
        """Removes tags; like AWS, it ignores keys that the resource does not have."""
        tags = self.tags.get(arn, {})
        for key in keys:
            tags.pop(key, None)

    def _error(self, code: str, template: str, kind: KindName, name: str) -> AwsApiError:
        return AwsApiError(code, template.format(kind=kind.replace("-", " "), name=name, arn=self.arn(kind, name)))


def page_of(rows: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """Returns the page that starts at a token, and the next page's token; a token is the index of its first row.

    >>> page_of(["a", "b", "c"], None, 2), page_of(["a", "b", "c"], "2", 2)
    ((['a', 'b'], '2'), (['c'], None))
    """
    first = int(token or 0)
    return rows[first : first + size], str(first + size) if first + size < len(rows) else None


def to_plain(value: Any) -> Any:
    """Returns a deep copy with times as epoch seconds and containers as plain dicts and lists.

    >>> to_plain({"At": datetime(1970, 1, 1, 0, 0, 2), "Rows": ({"A": 1},)})
    {'At': 2.0, 'Rows': [{'A': 1}]}
    """
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return copy.copy(value)


def _matches(record: Record, record_kind: RecordKind, request: Mapping[str, Any]) -> bool:
    """Returns whether a record passes the filters of a List request."""
    name_part = request.get("NameContains")
    status = request.get("StatusEquals") or request.get("ModelApprovalStatus")
    return (
        (not name_part or name_part in str(record.get(record_kind.id_field, "")))
        and (not status or record.get(record_kind.status_field) == status)
        and all(
            (request.get(f"{field}After") is None or record.get(field, 0) >= to_plain(request[f"{field}After"]))
            and (request.get(f"{field}Before") is None or record.get(field, 0) <= to_plain(request[f"{field}Before"]))
            for field in ("CreationTime", "LastModifiedTime", "ScheduledTime")
        )
    )
