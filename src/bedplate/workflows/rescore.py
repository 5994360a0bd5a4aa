"""Lets a release that is not serving answer the last captured requests, before it gets traffic again."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from bedplate.domain import tags
from bedplate.domain.rollback import Check, Standing
from bedplate.errors import JobFailed
from bedplate.ports import ProcessingRequest, Release, Say
from bedplate.settings import ModelSpec
from bedplate.workflows.captured import latest
from bedplate.workflows.job_following import follow, must_have_completed
from bedplate.workflows.platform import Platform, silent

COMMAND = ("python", "-m", "bedplate.container", "evaluate")
PROCESSING = "/opt/ml/processing"
ROWS = 1000
MAX_RUNTIME_S = 1800
SAME = 1e-6
"""Answers that differ by less are the same ones: the request went through JSON."""


def rescore(platform: Platform, spec: ModelSpec, release: Release, target: Standing, say: Say) -> Check:
    """Run the image's scoring over the last captured rows with the target's artifact. FAIL when it cannot answer them,
    or answers rows that it answered before in another way; NO_DATA without a captured row.

    It is the `evaluate` job with rows whose outcome nobody knows yet: only its predictions are looked at.
    """
    captured = latest(platform, spec.name, answers=ROWS)
    pairs = [(r.release, row, a) for r in captured for row, a in zip(r.rows, r.answers, strict=False)][-ROWS:]
    if not pairs or release.artifact_uri is None:
        return Check("re-score", "NO_DATA", "there is no captured request to answer again")
    name = f"{platform.names(spec.name).base}-rescore-v{target.version}-{platform.clock.now():%Y%m%d%H%M%S}"
    prefix = f"s3://{platform.outputs.artifacts_bucket}/rescoring/{spec.name}/{name}/"
    rows = _parquet([row for _, row, _ in pairs], spec)
    platform.objects.put(f"{prefix}holdout.parquet", rows)
    say(
        "step", {"number": 0, "of": 0, "message": f"Let v{target.version} answer the last {len(pairs):,} captured rows"}
    )
    job = platform.jobs.submit_processing(
        ProcessingRequest(
            name=name,
            image_uri=platform.outputs.image_uri,
            role_arn=platform.outputs.execution_role(spec.name),
            command=COMMAND,
            inputs={
                "candidate": (release.artifact_uri, f"{PROCESSING}/input/candidate"),
                "holdout": (f"{prefix}holdout.parquet", f"{PROCESSING}/input/holdout"),
            },
            outputs={"evaluation": (f"{PROCESSING}/output", prefix.rstrip("/"))},
            environment={"BEDPLATE_MODEL": spec.name},
            instance_type=spec.serving.instance_type,
            max_runtime_s=MAX_RUNTIME_S,
            tags=tags.for_model(
                project=platform.project,
                stack=platform.stack,
                model=spec.name,
                version=target.version,
                owner=spec.owner,
                cost_center=platform.settings.cost_center,
            ),
            kms_key_arn=platform.outputs.kms_key_arn,
            network=platform.outputs.network,
        )
    )
    job, lines = follow(platform, job, kind="processing", say=silent)
    try:
        must_have_completed(job, lines, what="re-scoring", kind="processing")
    except JobFailed as exc:
        return Check("re-score", "FAIL", exc.message.splitlines()[0])
    answers = _predictions(platform.objects.get(f"{prefix}predictions.parquet"))
    return judged(spec, target, [(who, a) for who, _, a in pairs], answers)


def judged(
    spec: ModelSpec,
    target: Standing,
    before: Sequence[tuple[str | None, float]],
    answers: Sequence[float],
) -> Check:
    """What the target's new answers say of it, beside those that were given `before` (release, answer), row by row."""
    low, high = (0.0, 1.0) if spec.task == "binary" else (-math.inf, math.inf)
    wrong = sum(not (math.isfinite(a) and low <= a <= high) for a in answers)
    if len(answers) != len(before) or wrong:
        return Check("re-score", "FAIL", f"{len(answers) - wrong} of {len(before)} rows got an answer that is one")
    own = [(old, new) for (release, old), new in zip(before, answers, strict=True) if release == target.release]
    changed = sum(abs(old - new) > SAME for old, new in own)
    if changed:
        return Check("re-score", "FAIL", f"{changed} of {len(own)} rows that it answered before get another answer now")
    mean_before = sum(a for _, a in before) / len(before)
    told = f"all {len(answers):,} rows, mean {sum(answers) / len(answers):.3f} (as answered live: {mean_before:.3f})"
    return Check("re-score", "PASS", told)


def _parquet(rows: Sequence[dict[str, Any]], spec: ModelSpec) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = (*spec.data.keys, *spec.data.features)
    table = pa.Table.from_pylist([{**{name: row.get(name) for name in wanted}, spec.data.label: 0.0} for row in rows])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _predictions(body: bytes) -> list[float]:
    import pyarrow.parquet as pq

    column = pq.read_table(io.BytesIO(body), columns=["prediction"]).column("prediction")
    return [math.nan if value is None else float(value) for value in column.to_pylist()]
