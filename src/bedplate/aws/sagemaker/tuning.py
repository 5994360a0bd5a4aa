"""SageMaker's tuning jobs in the words of the `Jobs` port, both ways."""

from __future__ import annotations

from typing import Any, cast

from bedplate.aws.sagemaker.model_trainer import METRIC_NAMES, metric_regex
from bedplate.ports import JobStatus, TuningJob, TuningRequest, TuningTrial
from bedplate.settings import Range

_SCALE = {False: "Linear", True: "Logarithmic"}


def create_request(request: TuningRequest) -> dict[str, Any]:
    """The request in CreateHyperParameterTuningJob's shape."""
    aim = {"Type": "Maximize" if request.maximize else "Minimize", "MetricName": request.objective}
    limits = {"MaxNumberOfTrainingJobs": request.trials, "MaxParallelTrainingJobs": request.parallel}
    return {
        "HyperParameterTuningJobName": request.name,
        "HyperParameterTuningJobConfig": {
            "Strategy": request.strategy,
            "HyperParameterTuningJobObjective": aim,
            "ResourceLimits": limits,
            "ParameterRanges": _ranges(request),
            "TrainingJobEarlyStoppingType": "Auto" if request.early_stopping else "Off",
            "RandomSeed": request.seed,
        },
        "TrainingJobDefinition": _definition(request),
        "Tags": [{"Key": key, "Value": value} for key, value in request.training.tags.items()],
    }


def tuning_job(sagemaker: Any, name: str) -> TuningJob:
    """One tuning with all its trials."""
    found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    told = [each for page in pages for each in page["TrainingJobSummaries"]]
    best = found.get("BestTrainingJob") or {}
    status = found["HyperParameterTuningJobStatus"]
    return TuningJob(
        name=name,
        arn=found["HyperParameterTuningJobArn"],
        status=cast("JobStatus", "Stopped" if status in ("Deleting", "DeleteFailed") else status),
        failure_reason=found.get("FailureReason") or None,
        best=best.get("TrainingJobName") or None,
        trials=tuple(
            TuningTrial(
                job=each["TrainingJobName"],
                status=each["TrainingJobStatus"],
                params=dict(each["TunedHyperParameters"]),
                value=(each.get("FinalHyperParameterTuningJobObjectiveMetric") or {}).get("Value"),
            )
            for each in told
        ),
    )


def _ranges(request: TuningRequest) -> dict[str, list[dict[str, Any]]]:
    shaped: dict[str, list[dict[str, Any]]] = {}
    for name, space in request.ranges.items():
        if space.kind == "categorical":
            shaped.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": list(space.values)})
            continue
        kind = "IntegerParameterRanges" if space.kind == "integer" else "ContinuousParameterRanges"
        low, high = _ends(space)
        shaped.setdefault(kind, []).append(
            {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": _SCALE[space.log]}
        )
    return shaped


def _ends(space: Range) -> tuple[str, str]:
    whole = space.kind == "integer"
    low, high = ((str(int(end)) if whole else repr(end)) for end in (space.low, space.high))
    return low, high


def _definition(request: TuningRequest) -> dict[str, Any]:
    training = request.training
    metrics = dict.fromkeys((request.objective, *METRIC_NAMES))
    fixed = {key: value for key, value in training.hyperparameters.items() if key not in request.ranges}
    spot, network = training.spot_max_wait_s, training.network
    key = {"KmsKeyId": training.kms_key_arn} if training.kms_key_arn else {}
    volume = {"VolumeKmsKeyId": training.kms_key_arn} if training.kms_key_arn else {}
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
        "OutputDataConfig": {"S3OutputPath": training.output_uri, **key},
        "ResourceConfig": {
            "InstanceType": training.instance_type,
            "InstanceCount": training.instance_count,
            "VolumeSizeInGB": training.volume_gb,
            **volume,
        },
        "StoppingCondition": {
            "MaxRuntimeInSeconds": training.max_runtime_s,
            **({"MaxWaitTimeInSeconds": spot} if spot else {}),
        },
        "Environment": dict(training.environment),
        **({"EnableManagedSpotTraining": True} if spot else {}),
        **({"CheckpointConfig": {"S3Uri": training.checkpoint_uri}} if training.checkpoint_uri else {}),
        **(
            {"VpcConfig": {"Subnets": list(network.subnet_ids), "SecurityGroupIds": list(network.security_group_ids)}}
            if network
            else {}
        ),
    }
