"""What the second half of a release's life needs on a `local_stage`: alarms, and versions approved elsewhere."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

from bedplate.aws.clock import SystemClock
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.names import VARIANT, bucket
from bedplate.settings import ModelSpec
from bedplate.workflows.record.ledger import Ledger
from local_stage import ACCOUNT, INFERENCE, PROJECT, SPEC, STACK, Stage

ROLLOUT = {"strategy": "canary", "canary_pct": 50, "bake_s": 3, "min_answers": 50, "max_prediction_shift": 0.25}
"""Most tests move releases without a customer in sight: `bake_answers` is 0 unless a test asks for some."""


def serve(stage: Stage, **changes: Any) -> None:
    """The endpoint's tags and alarms, as `up` makes them, and a model.yaml with a short bake."""
    stage.spec(rollout={**ROLLOUT, "bake_answers": 0, **changes})
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
    settled(stage)


def settled(stage: Stage, *, timeout_s: float = 30) -> str:
    """Wait until the endpoint is at rest; returns its status."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        status = stage.session.client("sagemaker").describe_endpoint(EndpointName=stage.names.endpoint)[
            "EndpointStatus"
        ]
        if status in ("InService", "Failed"):
            return str(status)
        time.sleep(0.1)
    raise AssertionError("the endpoint did not settle")


def approved(
    stage: Stage, *, split: float = 40.0, sign: int = 1, inference: str = INFERENCE, approval: str = "Approved"
) -> int:
    """Register a version whose model is this; returns its number."""
    contract = ModelSpec.model_validate(SPEC).model_dump_json()
    files = {
        "model.json": json.dumps({"split": split, "sign": sign}),
        "code/inference.py": inference,
        "contract.json": contract,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    key = f"training/churn/by-hand-{split}-{sign}-{hash(inference) & 0xFFFF}/output/model.tar.gz"
    artifacts, data = (bucket(PROJECT, STACK, purpose, ACCOUNT) for purpose in ("artifacts", "data"))
    s3 = stage.session.client("s3")
    s3.put_object(Bucket=artifacts, Key=key, Body=packed.getvalue())
    path = stage.data("holdout.parquet", rows=400, seed=7)
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
    """What `INFERENCE` answers to the holdout, as an evaluation leaves it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(holdout)
    age, left = (rows.column(name).to_numpy().astype(float) for name in ("age", "left"))
    prediction = 1 / (1 + np.exp(-sign * (age - split) / 5))
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": rows.column("id"), "label": left, "prediction": prediction}), sink)
    return sink.getvalue()
