"""How a stack's changes look: a table of steps with the properties that change, a summary line, progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bedplate.cli.views.differences import MOST, differences
from bedplate.cli.views.render import emit_json, out, progress, remark, seconds
from bedplate.domain.stacks.plan import PlanStep, PropertyDiff
from bedplate.workflows.stacks.stack import UpdateProgress, UpdateResult, Watch

_STYLE = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("±", "magenta"),
    "delete": ("-", "red"),
    "delete-replaced": ("-", "red"),
    "import": ("=", "cyan"),
    "read": (">", "cyan"),
}
_DONE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "read": "read",
    "same": "unchanged",
}


def show(update: UpdateResult, *, planned: bool) -> None:
    """Print the steps and the summary line."""
    _grid(update)
    out().print(summary(update, planned=planned))
    for message in update.messages:
        remark(message)


def show_found(update: UpdateResult, *, planned: bool) -> None:
    """Print what a refresh found in the world, and what becomes of it."""
    _grid(update)
    if not update.steps:
        out().print(f"The state is as the world is, in {seconds(update.duration_s)}")
        return
    gone = sum(step.op == "delete" for step in update.steps)
    verb = "to take" if planned else "taken"
    out().print(
        f"{len(update.steps) - gone} changed and {gone} gone, {verb} into the state, in {seconds(update.duration_s)}"
    )


def _grid(update: UpdateResult) -> None:
    from rich.table import Table
    from rich.text import Text

    if update.steps:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("", "resource", "name", "what changes"):
            grid.add_column(column, overflow="fold")
        for step in update.steps:
            sign, style = _STYLE.get(step.op, ("·", ""))
            grid.add_row(
                Text(f"{sign} {step.op}", style=style), short_type(step.type), Text(step.name), Text(_changes(step))
            )
        out().print(grid)


def summary(update: UpdateResult, *, planned: bool) -> str:
    """One line: what was done (or would be), and in which time."""
    parts = []
    for op, done in _DONE.items():
        count = update.counts.get(op, 0)
        if count:
            parts.append(f"{count} {f'to {op}' if planned and op != 'same' else done}")
    if not update.changed:
        parts = ["No changes", *parts]
    return f"{', '.join(parts)}, in {seconds(update.duration_s)}"


def as_json(update: UpdateResult, *, stack: str, where: str, verb: str) -> None:
    """The same as data."""
    emit_json(data(update, stack=stack, where=where, verb=verb))


def data(update: UpdateResult, *, stack: str, where: str, verb: str) -> dict[str, Any]:
    return {
        "stack": stack,
        "where": where,
        "verb": verb,
        "changed": update.changed,
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
def watched(verb: str) -> Iterator[Watch]:
    """A progress display on standard error while a run works; silent when that is not a terminal."""
    bar = progress()
    task = bar.add_task(verb, total=None, note="")
    under_way: dict[str, None] = {}

    def watch(at: UpdateProgress) -> None:
        bar.start()  # only now: what is asked before the run begins has the terminal for itself
        label = f"{short_type(at.type)} {at.name}"
        if at.state == "begin":
            under_way[label] = None
        else:
            under_way.pop(label, None)
        now = ", ".join(under_way) if under_way else label
        bar.update(task, description=f"{verb} {at.done}", note=now if len(now) < 70 else now[:69] + "…")

    try:
        yield watch
    finally:
        bar.stop()


def short_type(type: str) -> str:
    """A resource type as people say it.

    >>> short_type("aws:s3/bucket:Bucket"), short_type("pulumi:pulumi:Stack"), short_type("bedplate:platform:Storage")
    ('aws s3 Bucket', 'Stack', 'bedplate platform Storage')
    """
    package, module, name = type.split(":", 2)
    if package == "pulumi":
        return name
    return f"{package} {module.split('/')[0]} {name}".replace(" index ", " ")


def _changes(step: PlanStep) -> str:
    return "\n".join(change_text(change) for change in step.changes)


def change_text(change: PropertyDiff) -> str:
    """A line for each place where the property's two values differ, the first ones when they are many."""
    mark = " (forces replacement)" if change.replaces else ""
    found = differences(change.old, change.new)
    lines = [f"{change.path}{at}: {old} → {new}{mark}" for at, old, new in found[:MOST]]
    return "\n".join([*lines, *([f"{change.path}: and {len(found) - MOST} more"] if len(found) > MOST else [])])
