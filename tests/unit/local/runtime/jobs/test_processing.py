"""Processing jobs run a command with inputs from S3 and upload outputs, metrics and an exit message."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runtime_driver import RuntimeDriver


def test_processing_job_uploads_outputs_and_publishes_exit_message_and_metrics(driver: RuntimeDriver) -> None:
    driver.services.put_object("capture", "x/2026/01/01/00/a.jsonl", b"{}\n{}\n")
    source = {"S3Uri": "s3://capture/x/", "LocalPath": "/opt/ml/processing/input/endpoint"}
    driver.process(ProcessingInputs=[{"InputName": "endpoint", "S3Input": source}])
    job = driver.services.wait_for_status("processing-job", "analysis", "Completed", "Failed")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ExitMessage"].startswith("CompletedWithViolations")
    assert json.loads(driver.services.objects["artifacts"]["report/drift.json"])["records"] == 2
    assert driver.services.metric_values("bedplate_max_psi") == [0.4]
    assert driver.services.charges[0].usage_type == "processing"


def test_processing_job_runs_its_entrypoint_with_relocated_paths(driver: RuntimeDriver) -> None:
    code = "import pathlib,sys; pathlib.Path(sys.argv[1], 'said').write_text(sys.executable)"
    app = {"ImageUri": "i", "ContainerEntrypoint": ["python", "-c", code]}
    driver.process(AppSpecification={**app, "ContainerArguments": ["/opt/ml/processing/output"]})
    assert (
        driver.services.wait_for_status("processing-job", "analysis", "Completed", "Failed")["ProcessingJobStatus"]
        == "Completed"
    )
    assert driver.services.objects["artifacts"]["report/said"].decode() == sys.executable


def test_processing_job_with_a_nonzero_exit_code_fails_with_the_code(driver: RuntimeDriver) -> None:
    driver.process(AppSpecification={"ImageUri": "i", "ContainerEntrypoint": ["python", "-c", "raise SystemExit(3)"]})
    job = driver.services.wait_for_status("processing-job", "analysis", "Completed", "Failed")
    assert job["FailureReason"].endswith("exit code: 3")


def test_job_with_a_missing_command_fails_and_names_it(driver: RuntimeDriver) -> None:
    driver.process(AppSpecification={"ImageUri": "i", "ContainerEntrypoint": ["no-such-program"]})
    job = driver.services.wait_for_status("processing-job", "analysis", "Failed")
    assert "no-such-program" in job["FailureReason"]


def test_local_path_outside_opt_ml_is_rejected(driver: RuntimeDriver) -> None:
    source = {"S3Uri": "s3://capture/x/", "LocalPath": "/etc/passwd"}
    driver.process(ProcessingInputs=[{"InputName": "endpoint", "S3Input": source}])
    assert "/etc/passwd" in driver.services.wait_for_status("processing-job", "analysis", "Failed")["FailureReason"]
    assert Path("/etc/passwd").is_file()
