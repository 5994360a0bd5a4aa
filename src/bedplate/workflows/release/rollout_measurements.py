"""Reads what a rollout is judged by: captured answers of both variants, late labels, latency and errors."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.judging import (
    FEW,
    PairedPredictions,
    VariantTraffic,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
    unwell,
)
from bedplate.domain.rollout.machine import RolloutState
from bedplate.domain.rollout.ticking import StrategyVerdict
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.stack_context import StackContext

MOST_ANSWERS = 100_000
"""Newest answers of each variant that are looked at: a bound on memory, and far above what any test needs."""
Key = tuple[str, ...]


def judge(stack: StackContext, spec: ModelSpec, state: RolloutState) -> StrategyVerdict:
    """What the figures since the rollout began say, by the judge of its strategy."""
    wanted, strategy = spec.rollout.experiment, state.terms.strategy
    served = (_served(stack, state, VARIANT), _served(stack, state, CHALLENGER))
    if strategy == "shadow":
        return judge_shadow(
            _pairs(stack, state),
            served,
            wanted,
            spec.serving.slo,
            binary=spec.task == "binary",
            max_psi=spec.rollout.max_prediction_shift,
        )
    wrong = unwell(served[1], spec.serving.slo, enough=wanted.min_answers // FEW)
    if wrong:
        return StrategyVerdict("FAIL", wrong, {"failed": served[1].failed, "p99_ms": served[1].p99_ms})
    labels = _labels(stack, spec, state)
    if strategy == "champion-challenger":
        both = [
            (_reward(spec, one, labels[key]), _reward(spec, other, labels[key]))
            for first, second in _matched(stack, state)
            for row, one, other in zip(first.rows, first.answers, second.answers, strict=False)
            if (key := _key(row, spec)) in labels
        ]
        return judge_pairs([one for one, _ in both], [other for _, other in both], wanted)
    kind: Reward = "binary" if _yes_or_no(spec) else "continuous"
    arms = {variant: _arm(stack, spec, state, variant, labels) for variant in (VARIANT, CHALLENGER)}
    if strategy == "ab":
        return judge_ab(kind, arms[VARIANT], arms[CHALLENGER], wanted)
    return judge_bandit(kind, arms, dict(state.weights), wanted)


def _pairs(stack: StackContext, state: RolloutState) -> PairedPredictions:
    matched = list(_matched(stack, state))
    answers = [pair for one, other in matched for pair in zip(one.answers, other.answers, strict=False)]
    times = [(a.took_us, b.took_us) for a, b in matched if a.took_us is not None and b.took_us is not None]
    return PairedPredictions(
        [a for a, _ in answers], [b for _, b in answers], [a for a, _ in times], [b for _, b in times]
    )


def _matched(stack: StackContext, state: RolloutState) -> Iterator[tuple[CapturedRequest, CapturedRequest]]:
    """(champion's record, challenger's) of every request that both answered."""
    waiting: dict[str, deque[CapturedRequest]] = defaultdict(deque)
    for record in _captured(stack, state, CHALLENGER):
        waiting[_request(record)].append(record)
    for record in _captured(stack, state, VARIANT):
        same = waiting.get(_request(record))
        if same:
            yield record, same.popleft()


def _request(record: CapturedRequest) -> str:
    """What makes a copy the copy of its original: the id that the caller gave, else the rows themselves."""
    return record.inference_id or json.dumps(record.rows, sort_keys=True)


def _arm(stack: StackContext, spec: ModelSpec, state: RolloutState, variant: str, labels: Mapping[Key, float]) -> Arm:
    rewards = [
        _reward(spec, answer, labels[key])
        for record in _captured(stack, state, variant)
        for row, answer in zip(record.rows, record.answers, strict=False)
        if (key := _key(row, spec)) in labels
    ]
    return Arm.of(rewards)


def _captured(stack: StackContext, state: RolloutState, variant: str) -> tuple[CapturedRequest, ...]:
    return latest(stack, state.model, answers=MOST_ANSWERS, variant=variant, since=state.begun_at)


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


def _labels(stack: StackContext, spec: ModelSpec, state: RolloutState) -> Mapping[Key, float]:
    """Labels that were added since the rollout began, by key."""
    prefix = f"s3://{stack.outputs.data_bucket}/{stack.names(spec.name).labels_prefix}"
    found: dict[Key, float] = {}
    for info in stack.objects.list(prefix):
        if info.modified_at < state.begun_at:
            continue
        for line in stack.objects.get(info.uri).splitlines():
            row = json.loads(line)
            found[_key(row, spec)] = float(row["label"])
    return found


def _key(row: Mapping[str, Any], spec: ModelSpec) -> Key:
    return tuple(str(row.get(name)) for name in spec.data.keys)


def _served(stack: StackContext, state: RolloutState, variant: str) -> VariantTraffic:
    now = stack.clock.now()

    def points(metric: str, stat: str) -> list[float]:
        dimensions = {"EndpointName": stack.names(state.model).endpoint, "VariantName": variant}
        series = stack.metrics.series(
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
    return VariantTraffic(
        sum(points("Invocations", "Sum")),
        sum(points("Invocation5XXErrors", "Sum")),
        latencies[len(latencies) // 2] / 1000 if latencies else None,
    )
