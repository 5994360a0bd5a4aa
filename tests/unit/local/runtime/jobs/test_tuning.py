"""Tuning jobs on the local platform: trials that are trained, a best one, a search that learns."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bedplate.domain.versions.tuning import at as value_at
from bedplate.domain.versions.tuning import sample, share_of, worth_finishing
from bedplate.local.hooks import Record
from bedplate.local.runtime.jobs.tuning_search import BayesianSearch, RandomSearch, Seen, search_of
from bedplate.settings import parse_range
from unit.local.runtime.rig import ARN, Rig


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


def run(rig: Rig, record: Record) -> Record:
    rig.world.put_object("data", "train/rows.csv", b"12345")
    rig.world.put("hyper-parameter-tuning-job", "tuning", record)
    rig.hooks.tuning_started(record)
    table = rig.world.tables["hyper-parameter-tuning-job"]
    over = ("Completed", "Failed", "Stopped")
    rig.world.until(lambda: table["tuning"]["HyperParameterTuningJobStatus"] in over, 60)
    return table["tuning"]


def test_trials_are_trained_at_points_of_their_ranges_and_the_best_is_named(rig: Rig) -> None:
    record = run(rig, request())
    trials = rig.world.tables["training-job"]
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
    assert all(f"out/{name}/output/model.tar.gz" in rig.world.objects["artifacts"] for name in trials)


def test_a_grid_tries_every_point_once(rig: Rig) -> None:
    record = run(rig, request("Grid", trials=2))
    assert [job["HyperParameters"]["x"] for job in rig.world.tables["training-job"].values()] == ["1", "3"]
    assert record["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_a_tuning_whose_every_trial_fails_has_failed(rig: Rig) -> None:
    record = run(rig, request(trials=2, fail="no"))
    assert (record["HyperParameterTuningJobStatus"], record["FailureReason"]) == ("Failed", "No training job succeeded")
    assert record["TrainingJobStatusCounters"]["NonRetryableError"] == 2


def test_a_trial_that_does_worse_than_the_median_is_not_finished(rig: Rig) -> None:
    record = request("Grid", trials=4, parallel=1)
    config = record["HyperParameterTuningJobConfig"]
    config["ParameterRanges"]["CategoricalParameterRanges"][0]["Values"] = ["1", "2", "3", "0"]
    config["TrainingJobEarlyStoppingType"] = "Auto"
    ended = run(rig, record)
    statuses = [job["TrainingJobStatus"] for job in rig.world.tables["training-job"].values()]
    assert statuses == ["Completed", "Completed", "Completed", "Stopped"]
    assert ended["HyperParameterTuningJobStatus"] == "Completed"
    assert ended["TrainingJobStatusCounters"]["Stopped"] == 1
    assert ended["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_a_tuning_that_is_stopped_stops_its_trials(rig: Rig) -> None:
    rig.world.put_object("data", "train/rows.csv", b"12345")
    record = request(trials=4, hang="yes")
    rig.world.put("hyper-parameter-tuning-job", "tuning", record)
    rig.hooks.tuning_started(record)
    rig.world.until(lambda: any("hanging" in line for lines in rig.world.logs.values() for line in lines))
    rig.hooks.tuning_stopped("tuning")
    table = rig.world.tables["hyper-parameter-tuning-job"]
    rig.world.until(lambda: table["tuning"]["HyperParameterTuningJobStatus"] == "Stopped", 60)
    assert len(rig.world.tables["training-job"]) == 2
    assert {job["TrainingJobStatus"] for job in rig.world.tables["training-job"].values()} == {"Stopped"}


def test_what_ran_when_the_platform_ended_has_failed(rig: Rig) -> None:
    rig.world.put("hyper-parameter-tuning-job", "tuning", request())
    rig.hooks.restore()
    record = rig.world.tables["hyper-parameter-tuning-job"]["tuning"]
    assert record["HyperParameterTuningJobStatus"] == "Failed"
    assert "the local platform ended" in record["FailureReason"]


def test_the_bayesian_search_comes_closer_than_chance_on_the_average() -> None:
    ranges = {"x": parse_range("0.0:6.0"), "y": parse_range("0.001:1:log")}

    def best_of(search: Any) -> float:
        seen: list[tuple[dict[str, str], float]] = []
        for _ in range(12):
            point = search.next(seen)
            shares = share_of(ranges["x"], point["x"]), share_of(ranges["y"], point["y"])
            seen.append((point, -((shares[0] - 0.3) ** 2) - (shares[1] - 0.8) ** 2))
        return max(value for _, value in seen)

    seeds = range(2)
    learned = sum(best_of(BayesianSearch(ranges, seed)) for seed in seeds)
    guessed = sum(best_of(RandomSearch(ranges, seed)) for seed in seeds)
    assert learned > guessed
    assert learned / len(seeds) > -0.005


def test_a_search_is_repeatable_and_stays_inside() -> None:
    ranges = {"n": parse_range("2:5"), "rate": parse_range("0.01:0.3:log"), "kind": parse_range("a,b,c")}
    first, again = (RandomSearch(ranges, 7), RandomSearch(ranges, 7))
    nothing: Seen = ()
    points = [first.next(nothing) or {} for _ in range(200)]
    assert points[:5] == [again.next(nothing) for _ in range(5)]
    assert {point["n"] for point in points} == {"2", "3", "4", "5"}
    assert {point["kind"] for point in points} == {"a", "b", "c"}
    rates = sorted(float(point["rate"]) for point in points)
    assert rates[0] >= 0.01
    assert rates[-1] <= 0.3
    assert rates[100] == pytest.approx(0.055, rel=0.4), "half of them lie below the geometric middle"


def test_a_value_and_its_share_are_each_others_way_back() -> None:
    rng = random.Random(3)
    ranges = {"n": parse_range("2:5"), "log": parse_range("1:100:log"), "kind": parse_range("a,b,c")}
    for _ in range(50):
        point = sample(ranges, rng)
        assert {name: value_at(ranges[name], share_of(ranges[name], value)) for name, value in point.items()} == point


def test_hyperband_is_refused() -> None:
    with pytest.raises(ValueError, match="Hyperband is not on the local platform"):
        search_of(request("Hyperband"), 1)


def test_less_is_better_turns_the_median_round() -> None:
    others = [[0.6], [0.7], [0.8]]
    assert worth_finishing([0.5], others, maximize=False)
    assert not worth_finishing([0.9], others, maximize=False)


@pytest.mark.parametrize("text", ["1", "2:1", "a:b", "0:1:log", "1:2:cubic", "a,", "1:2:3:4"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|first|above 0"):
        parse_range(text)
