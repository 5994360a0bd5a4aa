"""Reads a rollout's measurements: captured predictions of both variants, late labels, latency and errors."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.state_machine import RolloutState
from bedplate.domain.rollout.tick import StrategyVerdict
from bedplate.domain.rollout.verdicts import (
    EARLY_DIVISOR,
    PairedPredictions,
    VariantTraffic,
    describe_slo_violation,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
)
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import read_latest
from bedplate.workflows.endpoint.observe import read_variant_metric
from bedplate.workflows.stack_context import StackContext

MAX_PREDICTIONS = 100_000
"""Number of the newest predictions of each variant to read: it bounds the memory and is more than any test needs."""
Key = tuple[str, ...]


def judge(stack: StackContext, spec: ModelSpec, state: RolloutState) -> StrategyVerdict:
    """Judges the measurements since the rollout started, by the rules of its strategy."""
    settings, strategy, slo = spec.rollout.experiment, state.terms.strategy, spec.serving.slo
    traffic = (_variant_traffic(stack, state, VARIANT), _variant_traffic(stack, state, CHALLENGER))
    if strategy == "shadow":
        pairs = _paired_predictions(stack, state)
        max_psi = spec.rollout.max_prediction_shift
        return judge_shadow(pairs, traffic, settings, slo, is_binary=spec.task == "binary", max_psi=max_psi)
    violation = describe_slo_violation(traffic[1], slo, min_requests=settings.min_predictions // EARLY_DIVISOR)
    if violation:
        return StrategyVerdict("FAIL", violation, {"failed": traffic[1].failed_requests, "p99_ms": traffic[1].p99_ms})
    labels = _read_labels(stack, spec, state)
    if strategy == "champion-challenger":
        rewards = [
            (_reward(spec, champion, labels[key]), _reward(spec, challenger, labels[key]))
            for first, second in _matching_requests(stack, state)
            for row, champion, challenger in zip(first.rows, first.predictions, second.predictions, strict=False)
            if (key := _row_key(row, spec)) in labels
        ]
        return judge_pairs([first for first, _ in rewards], [second for _, second in rewards], settings)
    kind: Reward = "binary" if _has_binary_reward(spec) else "continuous"
    arms = {variant: _arm(stack, spec, state, variant, labels) for variant in (VARIANT, CHALLENGER)}
    if strategy == "ab":
        return judge_ab(kind, arms[VARIANT], arms[CHALLENGER], settings)
    return judge_bandit(kind, arms, dict(state.weights), settings)


def _paired_predictions(stack: StackContext, state: RolloutState) -> PairedPredictions:
    matches = list(_matching_requests(stack, state))
    pairs = [pair for first, second in matches for pair in zip(first.predictions, second.predictions, strict=False)]
    times = [(a.took_us, b.took_us) for a, b in matches if a.took_us is not None and b.took_us is not None]
    return PairedPredictions([a for a, _ in pairs], [b for _, b in pairs], [a for a, _ in times], [b for _, b in times])


def _matching_requests(stack: StackContext, state: RolloutState) -> Iterator[tuple[CapturedRequest, CapturedRequest]]:
    """Returns the captured requests that both variants got, as pairs of (champion's, challenger's)."""
    unmatched: dict[str, deque[CapturedRequest]] = defaultdict(deque)
    for request in _read_requests(stack, state, CHALLENGER):
        unmatched[_request_key(request)].append(request)
    for request in _read_requests(stack, state, VARIANT):
        matches = unmatched.get(_request_key(request))
        if matches:
            yield request, matches.popleft()


def _request_key(request: CapturedRequest) -> str:
    """Identifies a request and its copy: by the caller's inferenceId, otherwise by the rows."""
    return request.inference_id or json.dumps(request.rows, sort_keys=True)


def _arm(stack: StackContext, spec: ModelSpec, state: RolloutState, variant: str, labels: Mapping[Key, float]) -> Arm:
    rewards = [
        _reward(spec, prediction, labels[key])
        for request in _read_requests(stack, state, variant)
        for row, prediction in zip(request.rows, request.predictions, strict=False)
        if (key := _row_key(row, spec)) in labels
    ]
    return Arm.from_rewards(rewards)


def _read_requests(stack: StackContext, state: RolloutState, variant: str) -> tuple[CapturedRequest, ...]:
    return read_latest(stack, state.model, min_predictions=MAX_PREDICTIONS, variant=variant, since=state.started_at)


def _has_binary_reward(spec: ModelSpec) -> bool:
    """Returns whether every reward is 0 or 1."""
    metric = spec.rollout.experiment.metric
    return metric == "correct" or (metric == "outcome" and spec.task == "binary")


def _reward(spec: ModelSpec, prediction: float, label: float) -> float:
    """Returns the reward of one prediction; a higher reward is better for every metric."""
    settings = spec.rollout.experiment
    if settings.metric == "outcome":
        return label
    if settings.metric == "loss":
        return -((prediction - label) ** 2)
    if spec.task == "binary":
        return float((prediction >= settings.threshold) == (label >= 0.5))
    return float(abs(prediction - label) <= settings.threshold)


def _read_labels(stack: StackContext, spec: ModelSpec, state: RolloutState) -> Mapping[Key, float]:
    """Returns the labels that were added since the rollout started, by key."""
    prefix = f"s3://{stack.outputs.data_bucket}/{stack.names(spec.name).labels_prefix}"
    labels: dict[Key, float] = {}
    for info in stack.objects.list(prefix):
        if info.modified_at < state.started_at:
            continue
        for line in stack.objects.get(info.uri).splitlines():
            row = json.loads(line)
            labels[_row_key(row, spec)] = float(row["label"])
    return labels


def _row_key(row: Mapping[str, Any], spec: ModelSpec) -> Key:
    return tuple(str(row.get(name)) for name in spec.data.keys)


def _variant_traffic(stack: StackContext, state: RolloutState, variant: str) -> VariantTraffic:
    endpoint, start, end = stack.names(state.model).endpoint, state.phase_since, stack.clock.now()

    def values(metric: str, stat: str) -> list[float]:
        return read_variant_metric(stack, endpoint, variant, metric, stat, start, end)

    latencies_us = sorted(values("ModelLatency", "p99"))
    return VariantTraffic(
        sum(values("Invocations", "Sum")),
        sum(values("Invocation5XXErrors", "Sum")),
        latencies_us[len(latencies_us) // 2] / 1000 if latencies_us else None,
    )
