"""A container's environment has the requested variables and none of AWS."""

from __future__ import annotations

from pathlib import Path

from bedplate.local.runtime.environment import container_environment


def test_requested_variables_override_defaults_and_paths_are_relocated() -> None:
    environment = container_environment(
        Path("/j"),
        {"OMP_NUM_THREADS": "1", "dataset_source": "/opt/ml/processing/x"},
        region="eu-west-1",
        threads=2,
        inherited={"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "BEDPLATE_STACK": "prod", "PYTHONPATH": "/p"},
    )
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["dataset_source"] == "/j/processing/x"
    assert environment["PYTHONPATH"] == "/p"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert "BEDPLATE_STACK" not in environment
