"""Reads what a rollout is judged by: captured answers of both variants, late labels, latency and errors."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from bedplate.domain.data.capture import Captured
from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.judging import (
    FEW,
    Pairs,
    Served,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
    unwell,
)
from bedplate.domain.rollout.machine import RolloutState
from bedplate.domain.rollout.ticking import Judgement
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.stack_context import Platform

MOST_ANSWERS = 100_000
"""Newest answers of each variant that are looked at: a bound on memory, and far above what any test needs."""
Key = tuple[str, ...]


def judge(platform: Platform, spec: ModelSpec, state: RolloutState) -> Judgement:
    """What the figures since the rollout began say, by the judge of its strategy."""
    wanted, strategy = spec.rollout.experiment, state.terms.strategy
    served = (_served(platform, state, VARIANT), _served(platform, state, CHALLENGER))
    if strategy == "shadow":
        return judge_shadow(
            _pairs(platform, state),
            served,
            wanted,
            spec.serving.slo,
            binary=spec.task == "binary",
            max_psi=spec.rollout.max_prediction_shift,
        )
    wrong = unwell(served[1], spec.serving.slo, enough=wanted.min_answers // FEW)
    if wrong:
        return Judgement("FAIL", wrong, {"failed": served[1].failed, "p99_ms": served[1].p99_ms})
    labels = _labels(platform, spec, state)
    if strategy == "champion-challenger":
        both = [
            (_reward(spec, one, labels[key]), _reward(spec, other, labels[key]))
            for first, second in _matched(platform, state)
            for row, one, other in zip(first.rows, first.answers, second.answers, strict=False)
            if (key := _key(row, spec)) in labels
        ]
        return judge_pairs([one for one, _ in both], [other for _, other in both], wanted)
    kind: Reward = "binary" if _yes_or_no(spec) else "continuous"
    arms = {variant: _arm(platform, spec, state, variant, labels) for variant in (VARIANT, CHALLENGER)}
    if strategy == "ab":
        return judge_ab(kind, arms[VARIANT], arms[CHALLENGER], wanted)
    return judge_bandit(kind, arms, dict(state.weights), wanted)


def _pairs(platform: Platform, state: RolloutState) -> Pairs:
    matched = list(_matched(platform, state))
    answers = [pair for one, other in matched for pair in zip(one.answers, other.answers, strict=False)]
    times = [(a.took_us, b.took_us) for a, b in matched if a.took_us is not None and b.took_us is not None]
    return Pairs([a for a, _ in answers], [b for _, b in answers], [a for a, _ in times], [b for _, b in times])


def _matched(platform: Platform, state: RolloutState) -> Iterator[tuple[Captured, Captured]]:
    """(champion's record, challenger's) of every request that both answered."""
    waiting: dict[str, deque[Captured]] = defaultdict(deque)
    for record in _captured(platform, state, CHALLENGER):
        waiting[_request(record)].append(record)
    for record in _captured(platform, state, VARIANT):
        same = waiting.get(_request(record))
        if same:
            yield record, same.popleft()


def _request(record: Captured) -> str:
    """What makes a copy the copy of its original: the id that the caller gave, else the rows themselves."""
    return record.inference_id or json.dumps(record.rows, sort_keys=True)


def _arm(platform: Platform, spec: ModelSpec, state: RolloutState, variant: str, labels: Mapping[Key, float]) -> Arm:
    rewards = [
        _reward(spec, answer, labels[key])
        for record in _captured(platform, state, variant)
        for row, answer in zip(record.rows, record.answers, strict=False)
        if (key := _key(row, spec)) in labels
    ]
    return Arm.of(rewards)


def _captured(platform: Platform, state: RolloutState, variant: str) -> tuple[Captured, ...]:
    return latest(platform, state.model, answers=MOST_ANSWERS, variant=variant, since=state.begun_at)


def _yes_or_no(spec: ModelSpec) -> bool:
    """Whether every reward is 0 or 1."""
    metric = spec.rollout.experiment.metric
    return metric == "correct" or (metric == "outcome" and spec.task == "binary")


def _reward(spec: ModelSpec, answer: float, label: float) -> float:
    """Higher is better, whatever the metric."""
    wanted = spec.rollout.experiment
    if wanted.metric == "outcome":
        return label
    if wanted.metric == "loss":
        return -((answer - label) ** 2)
    if spec.task == "binary":
        return float((answer >= wanted.threshold) == (label >= 0.5))
    return float(abs(answer - label) <= wanted.threshold)


def _labels(platform: Platform, spec: ModelSpec, state: RolloutState) -> Mapping[Key, float]:
    """Labels that were added since the rollout began, by key."""
    prefix = f"s3://{platform.outputs.data_bucket}/{platform.names(spec.name).labels_prefix}"
    found: dict[Key, float] = {}
    for info in platform.objects.list(prefix):
        if info.modified_at < state.begun_at:
            continue
        for line in platform.objects.get(info.uri).splitlines():
            row = json.loads(line)
            found[_key(row, spec)] = float(row["label"])
    return found


def _key(row: Mapping[str, Any], spec: ModelSpec) -> Key:
    return tuple(str(row.get(name)) for name in spec.data.keys)


def _served(platform: Platform, state: RolloutState, variant: str) -> Served:
    now = platform.clock.now()

    def points(metric: str, stat: str) -> list[float]:
        dimensions = {"EndpointName": platform.names(state.model).endpoint, "VariantName": variant}
        series = platform.metrics.series(
            "AWS/SageMaker",
            metric,
            dimensions,
            start=state.since,
            end=now + timedelta(seconds=1),
            period_s=60,
            stat=stat,
        )
        return [value for _, value in series]

    latencies = sorted(points("ModelLatency", "p99"))
    return Served(
        sum(points("Invocations", "Sum")),
        sum(points("Invocation5XXErrors", "Sum")),
        latencies[len(latencies) // 2] / 1000 if latencies else None,
    )
