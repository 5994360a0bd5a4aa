"""Judges the gates on explanation, leakage, the inference contract, latency and vulnerabilities."""

from __future__ import annotations

from dataclasses import replace

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.gate.measurements import Measurements
from bedplate.domain.gate.verdict import GateSpec, Verdict, compare_to_bounds, exact_verdict, format_bound, no_data
from bedplate.settings import ExplanationGate, LatencyGate, LeakageGate, VulnerabilityGate

NOT_MEASURED = "it was not measured"


def judge_explanation(gate: ExplanationGate, evidence: Measurements) -> list[Verdict]:
    """Compares the importances with those of the live release.

    The fallback has no importances; against it the verdicts are NO_DATA and do not decide.
    """
    explanation, verdicts = evidence.explanation, []
    shift, correlation = (explanation.importance_shift, explanation.rank_correlation) if explanation else (None, None)
    bounds: tuple[tuple[str, str, Estimate | None, float | None, float | None], ...] = (
        ("importance shift", "max_importance_shift", shift, None, gate.max_importance_shift),
        ("rank correlation", "min_rank_correlation", correlation, gate.min_rank_correlation, None),
    )
    for name, key, estimate, low, high in bounds:
        if low is None and high is None:
            continue
        label, bound = f"{name} against {evidence.champion}", format_bound(low, high)
        decides = not evidence.champion_is_constant
        gate_spec = GateSpec("explanation", label, f"gates.explanation.{key}", evidence.source, decides)
        if evidence.is_champion:
            value, reason = 0.0 if high is not None else 1.0, "the candidate is the live release"
            verdicts.append(exact_verdict(gate_spec, value, None, bound, is_met=True, reason=reason))
        elif evidence.champion_is_constant:
            reason = "the live release predicts a constant and has no importances to compare with"
            verdicts.append(no_data(gate_spec, None, bound, reason))
        elif estimate is None:
            reason = explanation.note if explanation and explanation.note else NOT_MEASURED
            verdicts.append(no_data(gate_spec, None, bound, reason))
        else:
            verdicts.append(compare_to_bounds(gate_spec, estimate, low, high))
    return verdicts


def judge_leakage(gate: LeakageGate, evidence: Measurements) -> list[Verdict]:
    """Judges the signs of leakage. Counts are of all held-out rows; only the score of a single feature is estimated."""
    leakage, source = evidence.leakage, evidence.source

    def build_spec(name: str, key: str) -> GateSpec:
        return GateSpec("leakage", name, f"gates.leakage.{key}", source)

    if leakage is None:
        return [no_data(build_spec("all checks", "max_single_feature"), None, "", NOT_MEASURED)]
    unavailable = leakage.unavailable_features
    reason = f"not available at prediction: {', '.join(unavailable)}" if unavailable else "all are available"
    declared = GateSpec("leakage", "features not available at prediction", "data.columns", source)
    verdicts = [exact_verdict(declared, len(unavailable), None, "<= 0", is_met=not unavailable, reason=reason)]
    feature = leakage.single_features[0].feature if leakage.single_features else "a feature"
    single_spec = build_spec(f"{leakage.metric} of {feature} alone", "max_single_feature")
    verdicts.append(compare_to_bounds(single_spec, leakage.strongest, None, gate.max_single_feature))
    missing = (
        "there is no training data to compare with" if leakage.training_rows is None else "the data has no such columns"
    )
    max_same_content = gate.max_same_content_pct / 100 * leakage.rows
    limits = [
        ("rows with a key of a training row", "max_shared_keys", leakage.shared_keys, float(gate.max_shared_keys)),
        ("rows equal to a training row", "max_same_content_pct", leakage.same_content, max_same_content),
    ]
    if gate.time_ordered:
        limits.append(("rows not after training", "time_ordered", leakage.out_of_order, 0.0))
    for name, key, count, limit in limits:
        gate_spec, bound = build_spec(name, key), f"<= {limit:,.0f}"
        if count is None:
            verdicts.append(no_data(gate_spec, None, bound, missing))
            continue
        reason = f"{count:,} of {leakage.rows:,} held-out rows"
        verdicts.append(exact_verdict(gate_spec, count, leakage.rows, bound, is_met=count <= limit, reason=reason))
    return verdicts


def judge_inference(evidence: Measurements) -> list[Verdict]:
    """Returns one verdict on all cases and, for each kind of case with a fault, a verdict that does not decide."""
    gate_spec = GateSpec("inference", "inference contract", "gates.inference", evidence.source)
    checks = evidence.inference
    if not checks:
        return [no_data(gate_spec, None, "every case", NOT_MEASURED)]
    n_cases = sum(check.cases for check in checks)
    faults = [fault for check in checks for fault in check.faults]
    reason = f"{len(faults)} of {n_cases} cases: {faults[0]}" if faults else f"{n_cases} cases of {len(checks)} kinds"
    bound, n_passed = f">= {n_cases} cases", n_cases - len(faults)
    verdicts = [exact_verdict(gate_spec, n_passed, n_cases, bound, is_met=not faults, reason=reason)]
    for check in checks:
        if check.faults:
            kind_spec = replace(gate_spec, name=check.kind, decides=False)
            bound, n_passed = f">= {check.cases} cases", check.cases - len(check.faults)
            reason = "; ".join(check.faults[:3]) + (f" and {len(check.faults) - 3} more" * (len(check.faults) > 3))
            verdicts.append(exact_verdict(kind_spec, n_passed, check.cases, bound, is_met=False, reason=reason))
    return verdicts


def judge_latency(gate: LatencyGate, evidence: Measurements) -> list[Verdict]:
    """Compares quantiles of the latency, in milliseconds, with their bounds by distribution-free intervals."""
    latency, verdicts = evidence.latency, []
    for key, share, is_batch in (
        ("single_p50_ms", 0.5, False),
        ("single_p99_ms", 0.99, False),
        ("batch_p50_ms", 0.5, True),
        ("batch_p99_ms", 0.99, True),
    ):
        bound = getattr(gate, key)
        if bound is None:
            continue
        rows = f"{gate.batch_rows} rows" if is_batch else "1 row"
        gate_spec = GateSpec("latency", f"p{share * 100:g} ms, {rows}", f"gates.latency.{key}", evidence.source)
        if latency is None:
            verdicts.append(no_data(gate_spec, None, format_bound(None, bound), NOT_MEASURED))
        else:
            timings = latency.batch if is_batch else latency.single
            verdicts.append(compare_to_bounds(gate_spec, timings.quantile(share), None, bound))
    return verdicts


def judge_vulnerabilities(gate: VulnerabilityGate, evidence: Measurements) -> Verdict:
    """Judges the vulnerabilities that the gate does not allow.

    NO_DATA when the vulnerability index cannot be reached; that verdict does not decide when the gate is optional.
    """
    scan = evidence.vulnerabilities
    is_complete = scan is not None and scan.error is None
    decides = is_complete or not gate.optional
    gate_spec = GateSpec("vulnerabilities", "packages of the image", "gates.vulnerabilities", evidence.source, decides)
    bound = "<= 0"
    if scan is None or scan.error is not None:
        return no_data(gate_spec, None, bound, scan.error if scan and scan.error else NOT_MEASURED)
    allow = {name.casefold() for name in gate.allow}
    skipped = [package.partition(":")[0] for package in scan.skipped]
    unknown_packages = [package for package in skipped if package.casefold() not in allow]
    findings = [f for f in scan.findings if not f.is_listed(gate.allow)]
    allowed = f", {len(scan.findings) - len(findings)} allowed" if len(findings) < len(scan.findings) else ""
    listing = f": {', '.join(f'{f.id} ({f.package} {f.version})' for f in findings[:3])}" if findings else ""
    if unknown_packages and not findings:
        names = ", ".join(unknown_packages[:5])
        return no_data(gate_spec, None, bound, f"the index does not have {len(unknown_packages)} packages: {names}")
    reason = f"{len(findings)} findings in {scan.packages_checked} packages{allowed}{listing}"
    return exact_verdict(gate_spec, len(findings), scan.packages_checked, bound, is_met=not findings, reason=reason)
