"""The pure pieces: what a DeploymentConfig asks for, routing, capture records, archives, data sources."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from bedplate.local.runtime import archives, transfer
from bedplate.local.runtime.endpoints.capture import Exchange, capture_line, capture_settings
from bedplate.local.runtime.endpoints.traffic_shift import rollout_of
from bedplate.local.runtime.environment import environment
from bedplate.local.runtime.metric_lines import definition_metrics, embedded_metrics
from unit.local.runtime.rig import canary
from unit.local.runtime.world import World

CAPTURE = {
    "DestinationS3Uri": "s3://b/p/",
    "InitialSamplingPercentage": 30,
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    ("config", "instances", "shares"),
    [
        (None, 1, (1.0,)),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}}}, 1, (1.0,)),
        (canary(10), 1, (0.1, 1.0)),
        (canary(33, kind="LINEAR"), 1, (0.33, 0.66, 0.99, 1.0)),
        (canary(50, kind="LINEAR"), 1, (0.5, 1.0)),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}}},
            4,
            (0.25, 0.5, 0.75, 1.0),
        ),
    ],
)
def test_shares_of_a_deployment(config: dict[str, object] | None, instances: int, shares: tuple[float, ...]) -> None:
    assert rollout_of(config, instances).shares == shares


def test_waits_and_alarms_of_a_deployment() -> None:
    config = canary(10, wait_s=7, alarms=["a", "b"])
    config["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] = 9
    plan = rollout_of(config, 1)
    assert (plan.wait_s, plan.termination_wait_s, plan.alarms) == (7.0, 9.0, ("a", "b"))


def test_capture_is_off_when_the_configuration_says_so() -> None:
    assert capture_settings(None) is None
    assert capture_settings({**CAPTURE, "EnableCapture": False}) is None


def test_capture_keeps_only_the_sides_that_are_asked_for_and_what_is_no_text_as_base64() -> None:
    settings = capture_settings(CAPTURE)
    assert settings is not None
    assert (settings.prefix, settings.sampling, settings.outputs) == ("p/", 0.3, False)
    exchange = Exchange("e", "v", 0.0, "text/csv", b"\xff", "text/csv", b"1", None, None, "id")
    record = json.loads(capture_line(settings, exchange))
    assert set(record["captureData"]) == {"endpointInput"}
    assert record["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert record["eventMetadata"] == {"eventId": "id", "inferenceTime": "1970-01-01T00:00:00Z"}


def test_list_of_values_in_embedded_metrics_is_a_point_for_each_and_nan_is_none() -> None:
    directive = {"Namespace": "N", "Dimensions": [["E"], ["E", "F"]], "Metrics": [{"Name": "M"}, {"Name": "Gone"}]}
    line = json.dumps({"_aws": {"Timestamp": 1000, "CloudWatchMetrics": [directive]}, "E": "e", "F": "f", "M": [1, 2]})
    assert [(p.dims, p.value) for p in embedded_metrics(line)] == [
        ({"E": "e"}, 1.0), ({"E": "e"}, 2.0), ({"E": "e", "F": "f"}, 1.0), ({"E": "e", "F": "f"}, 2.0),
    ]  # fmt: skip
    assert not list(embedded_metrics('{"_aws": {}}'))


def test_metric_whose_text_is_no_number_is_left_out() -> None:
    assert not list(definition_metrics("auc=e+-", [{"Name": "auc", "Regex": "auc=([-+0-9.eE]+)"}]))


def test_what_a_request_asks_for_beats_our_defaults_and_paths_are_moved() -> None:
    made = environment(
        Path("/j"),
        {"OMP_NUM_THREADS": "1", "dataset_source": "/opt/ml/processing/x"},
        region="eu-west-1",
        threads=2,
        around={"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "BEDPLATE_STACK": "prod", "PYTHONPATH": "/p"},
    )
    assert made["OMP_NUM_THREADS"] == "1"
    assert made["dataset_source"] == "/j/processing/x"
    assert made["PYTHONPATH"] == "/p"
    assert made["AWS_REGION"] == "eu-west-1"
    assert "AWS_SECRET_ACCESS_KEY" not in made
    assert "BEDPLATE_STACK" not in made


def test_archive_does_not_depend_on_time_owner_or_order(tmp_path: Path) -> None:
    packed = []
    for folder, names in (("a", ["x", "y/z"]), ("b", ["y/z", "x"])):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        archives.pack(tmp_path / folder, tmp_path / f"{folder}.tar.gz")
        packed.append((tmp_path / f"{folder}.tar.gz").read_bytes())
    assert packed[0] == packed[1]
    archives.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/y/z").read_text() == "y/z"


def test_archive_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../evil")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        archives.unpack(tmp_path / "evil.tar", tmp_path / "out")


def test_manifest_names_the_objects_and_keys_cannot_leave_the_folder(tmp_path: Path) -> None:
    world = World(tmp_path / "state")
    world.put_object("b", "in/a.csv", b"a")
    world.put_object("b", "in/c.csv", b"c")
    world.put_object("b", "manifest", b'[{"prefix": "s3://b/in/"}, "c.csv"]')
    assert transfer.download(world, "s3://b/manifest", tmp_path / "got", data_type="ManifestFile") == 1
    assert [p.name for p in (tmp_path / "got").iterdir()] == ["c.csv"]
    world.put_object("b", "in2/../../out", b"x")
    with pytest.raises(transfer.MissingData, match="leave its folder"):
        transfer.download(world, "s3://b/in2/", tmp_path / "got2")
