"""Prints the changes of a stack: a table of steps and changed properties, a summary line, and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bedplate.cli.views.differences import MAX_DIFFERENCES, differences
from bedplate.cli.views.render import console, emit_json, format_seconds, progress_bar, warn
from bedplate.domain.stacks.plan import PlanStep, PropertyDiff
from bedplate.workflows.stacks.stack import OnProgress, UpdateProgress, UpdateResult

_STYLE = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("±", "magenta"),
    "delete": ("-", "red"),
    "delete-replaced": ("-", "red"),
    "import": ("=", "cyan"),
    "read": (">", "cyan"),
}
_PAST_TENSE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "read": "read",
    "same": "unchanged",
}


def show(update: UpdateResult, *, planned: bool) -> None:
    """Prints the steps, the summary line and the messages."""
    _print_steps(update)
    console().print(format_summary(update, planned=planned))
    for message in update.messages:
        warn(message)


def show_refresh(update: UpdateResult, *, planned: bool) -> None:
    """Prints the changes that a refresh writes into the state, or would write when `planned`."""
    _print_steps(update)
    if not update.steps:
        console().print(f"The state matches the live resources, in {format_seconds(update.duration_s)}")
        return
    deleted = sum(step.op == "delete" for step in update.steps)
    verb = "to write" if planned else "written"
    counts = f"{len(update.steps) - deleted} changed and {deleted} deleted resources"
    console().print(f"{counts} {verb} into the state, in {format_seconds(update.duration_s)}")


def _print_steps(update: UpdateResult) -> None:
    from rich.table import Table
    from rich.text import Text

    if update.steps:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("", "resource", "name", "changes"):
            grid.add_column(column, overflow="fold")
        for step in update.steps:
            sign, style = _STYLE.get(step.op, ("·", ""))
            label = Text(f"{sign} {step.op}", style=style)
            grid.add_row(label, short_type(step.type), Text(step.name), Text(format_changes(step)))
        console().print(grid)


def format_summary(update: UpdateResult, *, planned: bool) -> str:
    """Returns one line: how many resources were changed, or would be when `planned`, and how long the run took."""
    parts = [
        f"{update.counts[op]} {f'to {op}' if planned and op != 'same' else past_tense}"
        for op, past_tense in _PAST_TENSE.items()
        if update.counts.get(op)
    ]
    if not update.has_changes:
        parts = ["No changes", *parts]
    return f"{', '.join(parts)}, in {format_seconds(update.duration_s)}"


def print_json(update: UpdateResult, *, stack: str, target: str, verb: str) -> None:
    """Prints the update as JSON."""
    emit_json(to_dict(update, stack=stack, target=target, verb=verb))


def to_dict(update: UpdateResult, *, stack: str, target: str, verb: str) -> dict[str, Any]:
    return {
        "stack": stack,
        "target": target,
        "verb": verb,
        "changed": update.has_changes,
        "counts": dict(update.counts),
        "steps": [
            {
                "op": step.op,
                "urn": step.urn,
                "type": step.type,
                "name": step.name,
                "changes": [{"path": c.path, "old": c.old, "new": c.new, "replaces": c.replaces} for c in step.changes],
                "replace_keys": list(step.replace_keys),
            }
            for step in update.steps
        ],
        "outputs": dict(update.outputs),
        "messages": list(update.messages),
        "duration_s": round(update.duration_s, 3),
    }


@contextmanager
def show_progress(verb: str) -> Iterator[OnProgress]:
    """Shows the progress of a run on standard error, if that is a terminal; yields the callback for the run."""
    bar = progress_bar()
    task = bar.add_task(verb, total=None, note="")
    running: dict[str, None] = {}

    def on_progress(update: UpdateProgress) -> None:
        bar.start()  # not earlier: a prompt before the run needs the terminal for itself
        label = f"{short_type(update.type)} {update.name}"
        if update.state == "begin":
            running[label] = None
        else:
            running.pop(label, None)
        note = ", ".join(running) or label
        bar.update(
            task, description=f"{verb} {update.completed_count}", note=note if len(note) < 70 else note[:69] + "…"
        )

    try:
        yield on_progress
    finally:
        bar.stop()


def short_type(type: str) -> str:
    """Returns a Pulumi resource type in words.

    >>> short_type("aws:s3/bucket:Bucket"), short_type("pulumi:pulumi:Stack"), short_type("bedplate:platform:Storage")
    ('aws s3 Bucket', 'Stack', 'bedplate platform Storage')
    """
    package, module, name = type.split(":", 2)
    if package == "pulumi":
        return name
    return f"{package} {module.split('/')[0]} {name}".replace(" index ", " ")


def format_changes(step: PlanStep) -> str:
    """Returns the lines of all changed properties of a step."""
    return "\n".join(format_change(change) for change in step.changes)


def format_change(change: PropertyDiff) -> str:
    """Returns a line for each path at which the property's values differ, at most MAX_DIFFERENCES, then a count."""
    suffix = " (forces replacement)" if change.replaces else ""
    parts = differences(change.old, change.new)
    lines = [f"{change.path}{path}: {old} → {new}{suffix}" for path, old, new in parts[:MAX_DIFFERENCES]]
    if len(parts) > MAX_DIFFERENCES:
        lines.append(f"{change.path}: and {len(parts) - MAX_DIFFERENCES} more")
    return "\n".join(lines)
