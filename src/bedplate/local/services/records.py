"""Records of SageMaker resources as plain dicts: creating, finding, listing, deleting and tagging them by kind.

A record is the request that created it plus what AWS adds (ARN, times, status); moto's serializer keeps of it what the
answer's shape has. Times are epoch seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from bedplate.local.hooks import Kind, Record
from bedplate.local.services.installation import AwsApiError

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_PAGE = 100
_KEPT_BY_ARN = ("model-package", "monitoring-execution", "pipeline-execution")


@dataclass(frozen=True, slots=True)
class RecordKind:
    """How one kind of resource is called on the wire."""

    kind: Kind
    name: str
    arn: str
    listed_as: str = ""
    status: str = ""
    missing: str = 'Could not find {kind} "{arn}".'
    missing_code: str = "ValidationException"
    taken: str = 'Cannot create already existing {kind} "{arn}".'
    taken_code: str = "ValidationException"
    newest_first: bool = False


NOUNS: dict[Kind, RecordKind] = {
    noun.kind: noun
    for noun in (
        RecordKind("model", "ModelName", "ModelArn", "Models", newest_first=True),
        RecordKind(
            "endpoint-config",
            "EndpointConfigName",
            "EndpointConfigArn",
            "EndpointConfigs",
            missing='Could not find endpoint configuration "{arn}".',
            taken='Cannot create already existing endpoint configuration "{arn}".',
            newest_first=True,
        ),
        RecordKind("endpoint", "EndpointName", "EndpointArn", "Endpoints", "EndpointStatus", newest_first=True),
        RecordKind(
            "training-job",
            "TrainingJobName",
            "TrainingJobArn",
            "TrainingJobSummaries",
            "TrainingJobStatus",
            missing="Requested resource not found.",
            taken="Training job names must be unique within an AWS account and region, and a training job with this "
            "name already exists ({arn})",
            taken_code="ResourceInUse",
        ),
        RecordKind(
            "processing-job",
            "ProcessingJobName",
            "ProcessingJobArn",
            "ProcessingJobSummaries",
            "ProcessingJobStatus",
            missing="Could not find requested job with name: {name}",
            taken="Job name must be unique within an AWS account and region, and a job with this name already exists "
            "({arn})",
            taken_code="ResourceInUse",
        ),
        RecordKind(
            "model-package-group",
            "ModelPackageGroupName",
            "ModelPackageGroupArn",
            "ModelPackageGroupSummaryList",
            missing="ModelPackageGroup {arn} does not exist.",
            taken="Model Package Group already exists: {arn}",
        ),
        RecordKind(
            "model-package",
            "ModelPackageArn",
            "ModelPackageArn",
            "ModelPackageSummaryList",
            "ModelApprovalStatus",
            missing="ModelPackage {name} does not exist.",
        ),
        *(
            RecordKind(
                kind,
                "JobDefinitionName",
                "JobDefinitionArn",
                "JobDefinitionSummaries",
                missing="Job Definition {arn} not found",
                missing_code="ResourceNotFound",
                taken="Job Definition {arn} already exists",
                taken_code="ResourceInUse",
                newest_first=True,
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
            "MonitoringScheduleName",
            "MonitoringScheduleArn",
            "MonitoringScheduleSummaries",
            "MonitoringScheduleStatus",
            missing="Monitoring Schedule {arn} not found",
            missing_code="ResourceNotFound",
            taken="Monitoring Schedule {arn} already exists",
            taken_code="ResourceInUse",
            newest_first=True,
        ),
        RecordKind(
            "monitoring-execution",
            "ProcessingJobArn",
            "ProcessingJobArn",
            "MonitoringExecutionSummaries",
            "MonitoringExecutionStatus",
            newest_first=True,
        ),
        RecordKind(
            "mlflow-tracking-server",
            "TrackingServerName",
            "TrackingServerArn",
            "TrackingServerSummaries",
            "TrackingServerStatus",
            missing="Tracking server with name {name} does not exist.",
            missing_code="ResourceNotFound",
            taken="Tracking server with name {name} already exists.",
            taken_code="ConflictException",
            newest_first=True,
        ),
        RecordKind(
            "hyper-parameter-tuning-job",
            "HyperParameterTuningJobName",
            "HyperParameterTuningJobArn",
            "HyperParameterTuningJobSummaries",
            "HyperParameterTuningJobStatus",
            missing="Amazon SageMaker can't find a tuning job with the name {name}.",
            missing_code="ResourceNotFound",
            taken="Tuning job names must be unique within an AWS account and region, and a tuning job with this name "
            "already exists ({arn})",
            taken_code="ResourceInUse",
            newest_first=True,
        ),
        RecordKind(
            "pipeline",
            "PipelineName",
            "PipelineArn",
            "PipelineSummaries",
            "PipelineStatus",
            missing="Pipeline '{arn}' does not exist.",
            missing_code="ResourceNotFound",
            taken="Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already "
            "exists.",
            newest_first=True,
        ),
        RecordKind(
            "pipeline-execution",
            "PipelineExecutionArn",
            "PipelineExecutionArn",
            "PipelineExecutionSummaries",
            missing="Pipeline execution with ARN {name} does not exist.",
            missing_code="ResourceNotFound",
            newest_first=True,
        ),
    )
}


class Records:
    """Every record of one region, by kind and name, and the tags of each ARN. Held by the SageMaker backend."""

    platform: ClassVar[LocalPlatform]  # on the class, as records are pickled

    def __init__(self, region: str, account_id: str) -> None:
        self._prefix = f"arn:aws:sagemaker:{region}:{account_id}:"
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in NOUNS}
        self.tags: dict[str, dict[str, str]] = {}

    def __getitem__(self, kind: Kind) -> dict[str, Record]:
        return self.tables.setdefault(kind, {})

    def arn(self, kind: Kind, name: str) -> str:
        return name if name.startswith("arn:") else f"{self._prefix}{kind}/{name}"

    def create(self, kind: Kind, request: Mapping[str, Any], **more: Any) -> Record:
        """Raises the service's error when the name is taken."""
        noun = NOUNS[kind]
        name = more.get(noun.name) or request[noun.name]
        if name in self[kind]:
            raise self._error(noun.taken_code, noun.taken, noun, name)
        now = self.platform.now()
        record = {
            **plain(request),
            noun.arn: self.arn(kind, name),
            "CreationTime": now,
            "LastModifiedTime": now,
            **more,
        }
        self.tag(record[noun.arn], record.pop("Tags", None) or [])
        self[kind][name] = record
        return record

    def add(self, kind: Kind, name: str, record: Mapping[str, Any]) -> None:
        """A record that the platform makes by itself; times and ARN are filled in where they are missing."""
        now = self.platform.now()
        noun = NOUNS[kind]
        made = {noun.name: name, noun.arn: self.arn(kind, name), "CreationTime": now, "LastModifiedTime": now}
        row = {**made, **plain(record)}
        self.tag(row[noun.arn], row.pop("Tags", None) or [])
        self[kind][name] = row

    def get(self, kind: Kind, name: str) -> Record:
        """Raises the service's error when there is no such record."""
        found = self[kind].get(
            name.rsplit("/", 1)[-1] if name.startswith("arn:") and kind not in _KEPT_BY_ARN else name
        )
        if found is None:
            raise self._error(NOUNS[kind].missing_code, NOUNS[kind].missing, NOUNS[kind], name)
        return found

    def delete(self, kind: Kind, name: str) -> Record:
        record = self.get(kind, name)
        del self[kind][record[NOUNS[kind].name]]
        self.tags.pop(record[NOUNS[kind].arn], None)
        return record

    def update(self, kind: Kind, name: str, changes: Mapping[str, Any]) -> Record:
        """Merge; a value of None removes its key."""
        record = self.get(kind, name)
        for key, value in plain(changes).items():
            if value is None:
                record.pop(key, None)
            else:
                record[key] = value
        record["LastModifiedTime"] = self.platform.now()
        return record

    def page(
        self, kind: Kind, request: Mapping[str, Any], rows: Iterable[Record] | None = None
    ) -> tuple[list[Record], str | None]:
        """The rows of a List call, filtered, sorted and paged as it asks, and the next token."""
        noun = NOUNS[kind]
        found = [r for r in (self[kind].values() if rows is None else rows) if _wanted(r, noun, request)]
        by = {"Name": noun.name, "Status": noun.status}.get(str(request.get("SortBy")), "CreationTime")
        default = "Descending" if noun.newest_first else "Ascending"
        found.sort(key=lambda r: r.get(by, ""), reverse=request.get("SortOrder", default) == "Descending")
        first = int(request.get("NextToken") or 0)
        last = first + int(request.get("MaxResults") or _PAGE)
        return found[first:last], str(last) if last < len(found) else None

    def tag(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        self.tags.setdefault(arn, {}).update({t["Key"]: t.get("Value", "") for t in tags})

    def untag(self, arn: str, keys: Iterable[str]) -> None:
        """Keys that are not there do not matter, as on AWS."""
        held = self.tags.get(arn, {})
        for key in keys:
            held.pop(key, None)

    def _error(self, code: str, text: str, noun: RecordKind, name: str) -> AwsApiError:
        words = noun.kind.replace("-", " ")
        return AwsApiError(code, text.format(kind=words, name=name, arn=self.arn(noun.kind, name)))


def plain(value: Any) -> Any:
    """A deep copy with times as epoch seconds and containers as plain dicts and lists.

    >>> plain({"At": datetime(1970, 1, 1, 0, 0, 2), "Rows": ({"A": 1},)})
    {'At': 2.0, 'Rows': [{'A': 1}]}
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return copy.copy(value)


def _wanted(record: Record, noun: RecordKind, request: Mapping[str, Any]) -> bool:
    text = request.get("NameContains")
    status = request.get("StatusEquals") or request.get("ModelApprovalStatus")
    times = {
        "CreationTime": ("CreationTimeAfter", "CreationTimeBefore"),
        "LastModifiedTime": ("LastModifiedTimeAfter", "LastModifiedTimeBefore"),
        "ScheduledTime": ("ScheduledTimeAfter", "ScheduledTimeBefore"),
    }
    return (
        (not text or text in str(record.get(noun.name, "")))
        and (not status or record.get(noun.status) == status)
        and all(
            (request.get(after) is None or record.get(key, 0) >= plain(request[after]))
            and (request.get(before) is None or record.get(key, 0) <= plain(request[before]))
            for key, (after, before) in times.items()
        )
    )
