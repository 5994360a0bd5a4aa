"""Tuning jobs train trials and report the best one."""

from __future__ import annotations

from bedplate.local.hooks import Record
from runtime_driver import ARN, RuntimeDriver


def request(strategy: str = "Random", trials: int = 4, parallel: int = 2, **static: str) -> Record:
    ranges = (
        {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "3"]}]}
        if strategy == "Grid"
        else {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "6", "ScalingType": "Linear"}]}
    )
    return {
        "HyperParameterTuningJobName": "tuning",
        "HyperParameterTuningJobArn": f"{ARN}:hyper-parameter-tuning-job/tuning",
        "HyperParameterTuningJobStatus": "InProgress",
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": ranges,
            "RandomSeed": 1,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": static,
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "MetricDefinitions": [{"Name": "score", "Regex": "metric: score=([-+0-9.eE]+)"}],
            },
            "InputDataConfig": [
                {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "s3://data/train/"}}}
            ],
            "OutputDataConfig": {"S3OutputPath": "s3://artifacts/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
    }


def run(driver: RuntimeDriver, record: Record) -> Record:
    driver.services.put_object("data", "train/rows.csv", b"12345")
    driver.services.put_record("hyper-parameter-tuning-job", "tuning", record)
    driver.hooks.tuning_started(record)
    table = driver.services.tables["hyper-parameter-tuning-job"]
    over = ("Completed", "Failed", "Stopped")
    driver.services.wait_until(lambda: table["tuning"]["HyperParameterTuningJobStatus"] in over, 60)
    return table["tuning"]


def test_tuning_trains_trials_within_their_ranges_and_reports_the_best(driver: RuntimeDriver) -> None:
    record = run(driver, request())
    trials = driver.services.tables["training-job"]
    assert record["HyperParameterTuningJobStatus"] == "Completed"
    assert record["TrainingJobStatusCounters"]["Completed"] == len(trials) == 4
    scores = {
        name: job["FinalMetricDataList"][0]["Value"] if job["FinalMetricDataList"][0]["MetricName"] == "score" else None
        for name, job in trials.items()
    }
    best = record["BestTrainingJob"]
    assert best["TrainingJobName"] == max(scores, key=lambda name: scores[name] or -99)
    assert all(0 <= float(job["HyperParameters"]["x"]) <= 6 for job in trials.values())
    assert all(job["TuningJobArn"] == record["HyperParameterTuningJobArn"] for job in trials.values())
    assert all(f"out/{name}/output/model.tar.gz" in driver.services.objects["artifacts"] for name in trials)


def test_grid_search_tries_every_point_once(driver: RuntimeDriver) -> None:
    record = run(driver, request("Grid", trials=2))
    assert [job["HyperParameters"]["x"] for job in driver.services.tables["training-job"].values()] == ["1", "3"]
    assert record["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_tuning_without_a_successful_trial_fails(driver: RuntimeDriver) -> None:
    record = run(driver, request(trials=2, fail="no"))
    assert (record["HyperParameterTuningJobStatus"], record["FailureReason"]) == ("Failed", "No training job succeeded")
    assert record["TrainingJobStatusCounters"]["NonRetryableError"] == 2


def test_trial_below_the_median_is_stopped_early(driver: RuntimeDriver) -> None:
    record = request("Grid", trials=4, parallel=1)
    config = record["HyperParameterTuningJobConfig"]
    config["ParameterRanges"]["CategoricalParameterRanges"][0]["Values"] = ["1", "2", "3", "0"]
    config["TrainingJobEarlyStoppingType"] = "Auto"
    ended = run(driver, record)
    statuses = [job["TrainingJobStatus"] for job in driver.services.tables["training-job"].values()]
    assert statuses == ["Completed", "Completed", "Completed", "Stopped"]
    assert ended["HyperParameterTuningJobStatus"] == "Completed"
    assert ended["TrainingJobStatusCounters"]["Stopped"] == 1
    assert ended["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_stopping_a_tuning_stops_its_trials(driver: RuntimeDriver) -> None:
    driver.services.put_object("data", "train/rows.csv", b"12345")
    record = request(trials=4, hang="yes")
    driver.services.put_record("hyper-parameter-tuning-job", "tuning", record)
    driver.hooks.tuning_started(record)
    driver.services.wait_until(
        lambda: any("hanging" in line for lines in driver.services.logs.values() for line in lines)
    )
    driver.hooks.tuning_stopped("tuning")
    table = driver.services.tables["hyper-parameter-tuning-job"]
    driver.services.wait_until(lambda: table["tuning"]["HyperParameterTuningJobStatus"] == "Stopped", 60)
    assert len(driver.services.tables["training-job"]) == 2
    assert {job["TrainingJobStatus"] for job in driver.services.tables["training-job"].values()} == {"Stopped"}


def test_tuning_that_ran_when_the_platform_ended_is_failed_after_restart(driver: RuntimeDriver) -> None:
    driver.services.put_record("hyper-parameter-tuning-job", "tuning", request())
    driver.hooks.restore()
    record = driver.services.tables["hyper-parameter-tuning-job"]["tuning"]
    assert record["HyperParameterTuningJobStatus"] == "Failed"
    assert "the local platform ended" in record["FailureReason"]
