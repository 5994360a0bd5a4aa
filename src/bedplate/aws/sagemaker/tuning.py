"""Builds requests for SageMaker's hyperparameter tuning jobs, and reads their descriptions."""

from __future__ import annotations

from typing import Any, cast

from bedplate.aws.sagemaker.jobs import vpc_config
from bedplate.aws.sagemaker.model_trainer import METRIC_NAMES, metric_regex
from bedplate.aws.tags import tag_list
from bedplate.ports import JobStatus, TuningJob, TuningRequest, TuningTrial

_SCALE = {False: "Linear", True: "Logarithmic"}


def tuning_request(request: TuningRequest) -> dict[str, Any]:
    """Returns the request of CreateHyperParameterTuningJob."""
    objective = {"Type": "Maximize" if request.maximize else "Minimize", "MetricName": request.objective}
    limits = {"MaxNumberOfTrainingJobs": request.max_trials, "MaxParallelTrainingJobs": request.max_parallel}
    return {
        "HyperParameterTuningJobName": request.name,
        "HyperParameterTuningJobConfig": {
            "Strategy": request.strategy,
            "HyperParameterTuningJobObjective": objective,
            "ResourceLimits": limits,
            "ParameterRanges": _parameter_ranges(request),
            "TrainingJobEarlyStoppingType": "Auto" if request.early_stopping else "Off",
            "RandomSeed": request.seed,
        },
        "TrainingJobDefinition": _training_definition(request),
        "Tags": tag_list(request.training.tags),
    }


def describe_tuning(sagemaker: Any, name: str) -> TuningJob:
    """Returns a tuning job with all its trials."""
    response = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    summaries = [summary for page in pages for summary in page["TrainingJobSummaries"]]
    best = response.get("BestTrainingJob") or {}
    status = response["HyperParameterTuningJobStatus"]
    return TuningJob(
        name=name,
        arn=response["HyperParameterTuningJobArn"],
        status=cast("JobStatus", "Stopped" if status in ("Deleting", "DeleteFailed") else status),
        failure_reason=response.get("FailureReason") or None,
        best_job=best.get("TrainingJobName") or None,
        trials=tuple(
            TuningTrial(
                job=summary["TrainingJobName"],
                status=summary["TrainingJobStatus"],
                params=dict(summary["TunedHyperParameters"]),
                objective_value=(summary.get("FinalHyperParameterTuningJobObjectiveMetric") or {}).get("Value"),
            )
            for summary in summaries
        ),
    )


def _parameter_ranges(request: TuningRequest) -> dict[str, list[dict[str, Any]]]:
    ranges: dict[str, list[dict[str, Any]]] = {}
    for name, space in request.ranges.items():
        if space.kind == "categorical":
            ranges.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": list(space.values)})
            continue
        is_integer = space.kind == "integer"
        low, high = (str(int(bound)) if is_integer else repr(bound) for bound in (space.low, space.high))
        ranges.setdefault("IntegerParameterRanges" if is_integer else "ContinuousParameterRanges", []).append(
            {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": _SCALE[space.log]}
        )
    return ranges


def _training_definition(request: TuningRequest) -> dict[str, Any]:
    training = request.training
    metrics = dict.fromkeys((request.objective, *METRIC_NAMES))
    fixed = {key: value for key, value in training.hyperparameters.items() if key not in request.ranges}
    spot_wait_s = training.spot_max_wait_s
    output_key = {"KmsKeyId": training.kms_key_arn} if training.kms_key_arn else {}
    volume_key = {"VolumeKmsKeyId": training.kms_key_arn} if training.kms_key_arn else {}
    return {
        "StaticHyperParameters": {"sagemaker_program": training.entry_point, **fixed},
        "AlgorithmSpecification": {
            "TrainingImage": training.image_uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": metric_regex(name)} for name in metrics][:40],
        },
        "RoleArn": training.role_arn,
        "InputDataConfig": [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name, uri in training.channels.items()
        ],
        "OutputDataConfig": {"S3OutputPath": training.output_uri, **output_key},
        "ResourceConfig": {
            "InstanceType": training.instance_type,
            "InstanceCount": training.instance_count,
            "VolumeSizeInGB": training.volume_gb,
            **volume_key,
        },
        "StoppingCondition": {
            "MaxRuntimeInSeconds": training.max_runtime_s,
            **({"MaxWaitTimeInSeconds": spot_wait_s} if spot_wait_s else {}),
        },
        "Environment": dict(training.environment),
        **({"EnableManagedSpotTraining": True} if spot_wait_s else {}),
        **({"CheckpointConfig": {"S3Uri": training.checkpoint_uri}} if training.checkpoint_uri else {}),
        **({"VpcConfig": vpc_config(training.network)} if training.network else {}),
    }
