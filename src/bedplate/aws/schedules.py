"""Runs of monitoring schedules, in SageMaker Model Monitor."""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.ports import MonitoringExecution


class MonitoringSchedules:
    """The `Schedules` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Raises NotFound for a schedule that does not exist."""
        client = self._session.client("sagemaker")
        with translated(f"Cannot list the runs of {schedule}", next_step="bedplate up"):
            client.describe_monitoring_schedule(MonitoringScheduleName=schedule)  # the list of an unknown one is empty
            told = client.list_monitoring_executions(
                MonitoringScheduleName=schedule, SortBy="ScheduledTime", SortOrder="Descending", MaxResults=limit
            )
        return [
            MonitoringExecution(
                scheduled_at=run["ScheduledTime"],
                status=run["MonitoringExecutionStatus"],
                job=(run.get("ProcessingJobArn") or "").rpartition("/")[2] or None,
                failure_reason=run.get("FailureReason") or None,
            )
            for run in told["MonitoringExecutionSummaries"]
        ]
