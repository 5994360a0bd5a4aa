"""Creates SageMaker's directories below a container's root and the configuration files in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record

HOST = "algo-1"


def prepare_training(root: Path, record: Record) -> None:
    """Creates the folders of a training job and writes `input/config/*.json`."""
    for name in ("input/config", "input/data", "model", "output/data", "output/metrics", "code"):
        (root / name).mkdir(parents=True, exist_ok=True)
    config = root / "input" / "config"
    _write_json(config / "hyperparameters.json", {k: str(v) for k, v in (record.get("HyperParameters") or {}).items()})
    _write_json(
        config / "inputdataconfig.json", {c["ChannelName"]: _channel_config(c, record) for c in input_channels(record)}
    )
    _write_json(config / "resourceconfig.json", _resource_config(record.get("ResourceConfig") or {}))
    _write_json(config / "init-config.json", {"inputMode": "FILE", "trainingJobName": record["TrainingJobName"]})


def prepare_processing(root: Path, record: Record) -> None:
    """Creates the folders of a processing job, except its inputs and outputs, and writes `config/*.json`."""
    for name in ("config", "processing", "output/metrics/cloudwatch"):
        (root / name).mkdir(parents=True, exist_ok=True)
    _write_json(
        root / "config" / "processingjobconfig.json", {k: v for k, v in record.items() if not k.endswith("Time")}
    )
    _write_json(root / "config" / "resourceconfig.json", {"current_host": HOST, "hosts": [HOST]})


def input_channels(record: Record) -> list[dict[str, Any]]:
    return list(record.get("InputDataConfig") or [])


def local_path(root: Path, path: str) -> Path:
    """Returns a path in the container moved below `root`. Raises ValueError for a path that is not below `/opt/ml`.

    >>> local_path(Path("/j"), "/opt/ml/processing/input").as_posix()
    '/j/processing/input'
    """
    relative = Path(path.removeprefix("/opt/ml/"))
    if not path.startswith("/opt/ml/") or ".." in relative.parts or relative.is_absolute():
        raise ValueError(f'"{path}" is not below /opt/ml')
    return root / relative


def _channel_config(channel: dict[str, Any], record: Record) -> dict[str, str]:
    source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
    mode = (record.get("AlgorithmSpecification") or {}).get("TrainingInputMode", "File")
    return {
        "TrainingInputMode": channel.get("InputMode") or mode,
        "S3DistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
        "RecordWrapperType": channel.get("RecordWrapperType") or "None",
        **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
    }


def _resource_config(config: dict[str, Any]) -> dict[str, Any]:
    instance = config.get("InstanceType") or ""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": instance,
        "current_group_name": group["instance_group_name"],
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
