"""The data scientist: trains, evaluates, registers, deploys, monitors and rolls back models; cannot approve."""

from __future__ import annotations

from bedplate.domain import names
from iam import Scope, Statement, allow, deny
from personas.shared import append_ledger, encrypt, pass_role, read_objects, read_platform

ALARM_ACTIONS = ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource"]
MLFLOW_ACTIONS = (
    *("CreateExperiment", "GetExperimentByName", "SearchExperiments"),
    *("CreateRun", "UpdateRun", "GetRun", "SearchRuns", "LogBatch"),
)
"""MLflow's REST operations that log and read runs (`tracking.enabled`)."""
PACKAGE_ACTIONS = ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"]


def statements(scope: Scope) -> list[Statement]:
    packages = scope.sagemaker("model-package", "model-package-group")
    return [
        *read_objects(scope, "artifacts", "data", "capture"),
        allow("WriteObjects", "s3:PutObject", scope.objects("artifacts", "data")),
        encrypt(scope),
        # `data register` signs the manifest of a dataset, and `train` verifies the signature.
        allow("SignDatasets", ["kms:Sign", "kms:Verify", "kms:DescribeKey"], scope.signing_key_arn),
        *append_ledger(scope),
        *read_platform(scope),
        *_jobs(scope),
        allow("RegisterVersions", [*PACKAGE_ACTIONS, "sagemaker:AddTags"], packages),
        allow("Cards", ["sagemaker:CreateModelCard", "sagemaker:UpdateModelCard"], scope.sagemaker("model-card")),
        *_releases(scope),
        *_schedules(scope),
        pass_role("PassExecutionRole", scope.execution_roles, "sagemaker"),
        # `evaluate` updates the metadata of a model package, `approve` its status: only the first is allowed here.
        deny(
            "NeverApprove", PACKAGE_ACTIONS, packages, {"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}}
        ),
    ]


def _jobs(scope: Scope) -> list[Statement]:
    """Allows training, processing and tuning jobs, and their runs in MLflow."""
    jobs = [f"sagemaker:{verb}{kind}Job" for kind in ("Training", "Processing") for verb in ("Create", "Stop")]
    tuning = [f"sagemaker:{verb}HyperParameterTuningJob" for verb in ("Create", "Stop")]
    trials = "sagemaker:ListTrainingJobsForHyperParameterTuningJob"
    return [
        allow("RunJobs", [*jobs, "sagemaker:AddTags"], scope.sagemaker("training-job", "processing-job")),
        allow("Tune", [*tuning, trials, "sagemaker:AddTags"], scope.sagemaker("hyper-parameter-tuning-job")),
        allow(
            "KeepRuns",
            [f"sagemaker-mlflow:{action}" for action in MLFLOW_ACTIONS],
            scope.sagemaker("mlflow-tracking-server"),
        ),
    ]


def _releases(scope: Scope) -> list[Statement]:
    """Allows to deploy a release with its guard alarm, and to roll back to an earlier one."""
    release_actions = (
        *("CreateModel", "DeleteModel", "CreateEndpointConfig", "DeleteEndpointConfig", "UpdateEndpoint"),
        *("UpdateEndpointWeightsAndCapacities", "InvokeEndpoint", "AddTags"),
    )
    return [
        allow(
            "Release",
            [f"sagemaker:{action}" for action in release_actions],
            scope.sagemaker("model", "endpoint", "endpoint-config"),
        ),
        # A rollback first tests its target on a copy of the endpoint, and a drill rehearses on one.
        allow(
            "Copies",
            ["sagemaker:CreateEndpoint", "sagemaker:DeleteEndpoint"],
            [*scope.sagemaker("endpoint-config"), scope.arn("sagemaker", f"endpoint/{scope.prefix}-*-copy-v*")],
        ),
        # A deployment creates the guard alarm of its release, and removes it with the release.
        allow("GuardAlarms", ALARM_ACTIONS, scope.arn("cloudwatch", f"alarm:{scope.prefix}-*-predictions")),
    ]


def _schedules(scope: Scope) -> list[Statement]:
    """Allows the schedules that `bedplate monitor schedule` creates, because pulumi-aws has no resource for them."""
    kinds = names.SCHEDULE_KINDS
    definitions = [
        f"sagemaker:{verb}{kind}JobDefinition"
        for kind in ("ModelQuality", "ModelBias", "ModelExplainability")
        for verb in ("Create", "Delete")
    ]
    schedules = [f"sagemaker:{verb}MonitoringSchedule" for verb in ("Create", "Update", "Delete")]
    return [
        allow(
            "ScheduleDefinitions",
            [*definitions, "sagemaker:AddTags"],
            scope.sagemaker(*(f"model-{kind}-job-definition" for kind in ("quality", "bias", "explainability"))),
        ),
        allow(
            "Schedules",
            [*schedules, "sagemaker:AddTags"],
            [scope.arn("sagemaker", f"monitoring-schedule/{scope.prefix}-*-{kind}") for kind in kinds],
        ),
        allow(
            "ScheduleAlarms",
            ALARM_ACTIONS,
            [scope.arn("cloudwatch", f"alarm:{scope.prefix}-*-{kind}") for kind in kinds],
        ),
    ]
