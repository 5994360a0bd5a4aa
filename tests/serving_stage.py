"""Adds to a `local_stage` what deployments need: the endpoint's alarms, and registered versions."""

from __future__ import annotations

import io
import json
from pathlib import Path

from bedplate.aws.clock import SystemClock
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.names import VARIANT, bucket
from bedplate.domain.versions.package import build_archive
from bedplate.settings import ModelSpec
from bedplate.workflows.record.ledger import Ledger
from local_stage import ACCOUNT, INFERENCE, PROJECT, SPEC, STACK, Stage
from polling import wait_until

ROLLOUT = {"strategy": "canary", "canary_pct": 50, "bake_s": 3, "min_predictions": 50, "max_prediction_shift": 0.25}
"""A rollout with a short bake."""
ROLLOUT_WITHOUT_TRAFFIC = {**ROLLOUT, "min_bake_predictions": 0}
"""A rollout that succeeds without traffic."""


def prepare_endpoint(stage: Stage) -> None:
    """Adds the tags and alarms that `up` creates to the endpoint, and writes a model.yaml with a short bake."""
    stage.write_model_yaml(rollout=ROLLOUT_WITHOUT_TRAFFIC)
    client, names = stage.session.client, stage.names
    arn = client("sagemaker").describe_endpoint(EndpointName=names.endpoint)["EndpointArn"]
    tags = {"Model": "churn", "Project": PROJECT, "Stack": STACK, "Owner": "ada@example.com"}
    client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    for name, metric, threshold in (
        (names.errors_alarm, "Invocation5XXErrors", 0.01),
        (names.latency_alarm, "ModelLatency", 500_000),
    ):
        client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": names.endpoint}, {"Name": "VariantName", "Value": VARIANT}],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
    wait_until_settled(stage)


def wait_until_settled(stage: Stage, *, timeout_s: float = 30) -> str:
    """Waits until no update of the endpoint is in flight. Returns its status."""
    status: str = wait_until(
        lambda: endpoint_status(stage), lambda status: status in ("InService", "Failed"), timeout_s=timeout_s
    )
    return status


def endpoint_status(stage: Stage) -> str:
    endpoint = stage.session.client("sagemaker").describe_endpoint(EndpointName=stage.names.endpoint)
    return str(endpoint["EndpointStatus"])


def register_version(
    stage: Stage, *, split: float = 40.0, sign: int = 1, inference: str = INFERENCE, approval: str = "Approved"
) -> int:
    """Registers a version with this model, as training, evaluation and approval do. Returns its number."""
    contract = ModelSpec.model_validate(SPEC).model_dump_json()
    model = json.dumps({"split": split, "sign": sign})
    files = {"model.json": model, "code/inference.py": inference, "contract.json": contract}
    archive = build_archive({name: text.encode() for name, text in files.items()})
    key = f"training/churn/by-hand-{split}-{sign}-{hash(inference) & 0xFFFF}/output/model.tar.gz"
    artifacts, data = (bucket(PROJECT, STACK, purpose, ACCOUNT) for purpose in ("artifacts", "data"))
    s3 = stage.session.client("s3")
    s3.put_object(Bucket=artifacts, Key=key, Body=archive)
    path = stage.write_data("holdout.parquet", rows=400, seed=7)
    s3.put_object(Bucket=data, Key="datasets/churn/by-hand/holdout.parquet", Body=path.read_bytes())
    s3.put_object(Bucket=data, Key="datasets/churn/by-hand/train.parquet", Body=path.read_bytes())
    evaluation = f"evaluations/churn/by-hand-{split}-{sign}"
    s3.put_object(Bucket=artifacts, Key=f"{evaluation}/predictions.parquet", Body=_predictions(path, split, sign))
    arn = stage.session.client("sagemaker").create_model_package(
        ModelPackageGroupName=stage.names.package_group,
        InferenceSpecification={
            "Containers": [
                {
                    "Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/bedplate-local:latest",
                    "ModelDataUrl": f"s3://{artifacts}/{key}",
                }
            ],
            "SupportedContentTypes": ["application/jsonlines"],
            "SupportedResponseMIMETypes": ["application/jsonlines"],
        },
        ModelApprovalStatus=approval,
        CustomerMetadataProperties={
            "model": "churn",
            "data_uri": f"s3://{data}/datasets/churn/by-hand/train.parquet",
            "holdout_uri": f"s3://{data}/datasets/churn/by-hand/holdout.parquet",
            "evaluation_uri": f"s3://{artifacts}/{evaluation}/evaluation.json",
        },
    )["ModelPackageArn"]
    version = int(arn.rpartition("/")[2])
    if approval == "Approved":
        ledger = Ledger(S3Objects(stage.session), bucket(PROJECT, STACK, "ledger", ACCOUNT), SystemClock())
        data = {"final": True, "people": ["ada"]}
        ledger.record("approved", "ada approved it", actor="ada", model="churn", version=version, data=data)
    return version


def _predictions(holdout: Path, split: float, sign: int) -> bytes:
    """The predictions of the model for the holdout, in the Parquet file that an evaluation writes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(holdout)
    age, left = (rows.column(name).to_numpy().astype(float) for name in ("age", "left"))
    prediction = 1 / (1 + np.exp(-sign * (age - split) / 5))
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": rows.column("id"), "label": left, "prediction": prediction}), sink)
    return sink.getvalue()
