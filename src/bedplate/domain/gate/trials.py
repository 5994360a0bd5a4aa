"""Verdicts on what was tried out beside scoring: explanations, leakage, the inference contract, latency."""

from __future__ import annotations

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.gate.measured import Measurements
from bedplate.domain.gate.verdict import GateSpec, Verdict, bound_text, compared, counted, undecided
from bedplate.settings import ExplanationGate, LatencyGate, LeakageGate, VulnerabilityGate

NOT_TRIED = "it was not measured"


def explanation(gate: ExplanationGate, evidence: Measurements) -> list[Verdict]:
    """Against the live release's reasons. The fallback has none: then the gate is shown, and does not decide."""
    found, verdicts = evidence.explanation, []
    least = gate.min_rank_correlation
    bounded: tuple[tuple[str, str, Estimate | None, float | None, float | None], ...] = (
        ("importance moved", "max_moved", found.moved if found else None, None, gate.max_moved),
        ("rank correlation", "min_rank_correlation", found.rank_correlation if found else None, least, None),
    )
    for name, key, figure, low, high in bounded:
        if low is None and high is None:
            continue
        constant = evidence.champion_is_constant
        told = f"{name} against {evidence.champion}"
        asked = GateSpec("explanation", told, f"gates.explanation.{key}", evidence.source, not constant)
        if evidence.is_champion:
            reason, same = "it is the live release itself", 0.0 if high is not None else 1.0
            verdicts.append(counted(asked, same, None, bound_text(low, high), fits=True, reason=reason))
        elif constant:
            reason = "the live release answers a constant: there is nothing to stay true to"
            verdicts.append(undecided(asked, None, bound_text(low, high), reason))
        elif figure is None:
            reason = found.note if found and found.note else NOT_TRIED
            verdicts.append(undecided(asked, None, bound_text(low, high), reason))
        else:
            verdicts.append(compared(asked, figure, low, high))
    return verdicts


def leakage(gate: LeakageGate, evidence: Measurements) -> list[Verdict]:
    """Counts are of all held-out rows and need no interval; only one feature's strength is an estimate."""
    found, source = evidence.leakage, evidence.source

    def asked(name: str, key: str) -> GateSpec:
        return GateSpec("leakage", name, f"gates.leakage.{key}", source)

    if found is None:
        return [undecided(asked("all checks", "max_single_feature"), None, "", NOT_TRIED)]
    late = len(found.known_after)
    told = f"known only afterwards: {', '.join(found.known_after)}" if late else "none is declared `known: after`"
    declared = GateSpec("leakage", "features known too late", "data.columns", source)
    verdicts = [counted(declared, late, None, "<= 0", fits=not late, reason=told)]
    alone = found.alone[0].feature if found.alone else "a feature"
    figure = found.strongest
    verdicts.append(
        compared(asked(f"{found.metric} of {alone} alone", "max_single_feature"), figure, None, gate.max_single_feature)
    )
    without = "the training data was not at hand" if found.training_rows is None else "the data has no such columns"
    most = gate.max_same_content_pct / 100 * found.rows
    limits = [
        ("rows with a key of training", "max_shared_keys", found.shared_keys, float(gate.max_shared_keys)),
        ("rows that training holds too", "max_same_content_pct", found.same_content, most),
    ]
    if gate.order_of_time:
        limits.append(("rows not after training", "order_of_time", found.out_of_order, 0.0))
    for name, key, count, limit in limits:
        bound = f"<= {limit:,.0f}"
        if count is None:
            verdicts.append(undecided(asked(name, key), None, bound, without))
            continue
        reason = f"{count:,} of {found.rows:,} held-out rows"
        verdicts.append(counted(asked(name, key), count, found.rows, bound, fits=count <= limit, reason=reason))
    return verdicts


def inference(evidence: Measurements) -> list[Verdict]:
    """One verdict over all cases, and one below it for each kind that has a fault."""
    asked = GateSpec("inference", "contract kept by the serving entry point", "gates.inference", evidence.source)
    found = evidence.inference
    if not found:
        return [undecided(asked, None, "every case", NOT_TRIED)]
    cases = sum(check.cases for check in found)
    faults = [fault for check in found for fault in check.faults]
    told = f"{len(faults)} of {cases} cases: {faults[0]}" if faults else f"{cases} cases of {len(found)} kinds"
    verdicts = [
        counted(asked, cases - len(faults), cases, f">= {cases} cases", fits=not faults, reason=told),
    ]
    for check in found:
        if check.faults:
            one = GateSpec("inference", check.kind, "gates.inference", evidence.source, decides=False)
            kept = check.cases - len(check.faults)
            reason = "; ".join(check.faults[:3]) + (f" and {len(check.faults) - 3} more" * (len(check.faults) > 3))
            verdicts.append(counted(one, kept, check.cases, f">= {check.cases} cases", fits=False, reason=reason))
    return verdicts


def latency(gate: LatencyGate, evidence: Measurements) -> list[Verdict]:
    """Quantiles in milliseconds with their distribution-free intervals."""
    found, verdicts = evidence.latency, []
    for key, share, batch in (
        ("single_p50_ms", 0.5, False),
        ("single_p99_ms", 0.99, False),
        ("batch_p50_ms", 0.5, True),
        ("batch_p99_ms", 0.99, True),
    ):
        bound = getattr(gate, key)
        if bound is None:
            continue
        rows = f"{gate.batch_rows} rows" if batch else "1 row"
        asked = GateSpec("latency", f"p{share * 100:g} ms, {rows}", f"gates.latency.{key}", evidence.source)
        if found is None:
            verdicts.append(undecided(asked, None, bound_text(None, bound), NOT_TRIED))
            continue
        verdicts.append(compared(asked, (found.batch if batch else found.single).quantile(share), None, bound))
    return verdicts


def vulnerabilities(gate: VulnerabilityGate, evidence: Measurements) -> Verdict:
    """Findings that nobody allowed. An index that cannot be reached is NO_DATA, which decides unless it is optional."""
    found = evidence.vulnerabilities
    reached = found is not None and found.trouble is None
    decides = reached or not gate.optional
    asked = GateSpec("vulnerabilities", "packages of the image", "gates.vulnerabilities", evidence.source, decides)
    bound = "<= 0"
    if found is None or found.trouble is not None:
        return undecided(asked, None, bound, found.trouble if found and found.trouble else NOT_TRIED)
    unknown = [s for s in found.skipped if s.partition(":")[0].casefold() not in {a.casefold() for a in gate.allow}]
    left = [f for f in found.findings if not f.named(gate.allow)]
    allowed = f", {len(found.findings) - len(left)} allowed" if len(left) < len(found.findings) else ""
    told = f": {', '.join(f'{f.id} ({f.package} {f.version})' for f in left[:3])}" if left else ""
    if unknown and not left:
        names = ", ".join(s.partition(":")[0] for s in unknown[:5])
        return undecided(asked, None, bound, f"the index does not know {len(unknown)} of the packages: {names}")
    reason = f"{len(left)} findings in {found.checked} packages{allowed}{told}"
    return counted(asked, len(left), found.checked, bound, fits=not left, reason=reason)
