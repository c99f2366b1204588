"""What the console shows, as tables for people and as plain values for machines."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchimg.words import count, duration, size

if TYPE_CHECKING:
    from batchimg.doctor import Finding
    from batchimg.ledger import Cause
    from batchimg.local.status import StackStatus
    from batchimg.plan import Plan
    from batchimg.preview import Preview
    from batchimg.watch import RunStatus
    from batchimg_worker.contract import RunSpec

STATE_STYLES = {
    "completed": "green",
    "running": "cyan",
    "submitting": "cyan",
    "cancelled": "yellow",
    "failed": "red",
    "deleting": "yellow",
}
MOST_CAUSES = 50
MOST_REJECTED = 10
MOST_SLOW = 3


LEVEL_STYLES = {"good": "green", "unknown": "dim", "warning": "yellow", "problem": "red"}


def finding_text(finding: "Finding") -> Text:
    """What the doctor found, and below it how to mend it."""
    text = Text(f"{finding.level:>8}", style=LEVEL_STYLES[finding.level]).append(
        f"  {finding.message}", style="default"
    )
    return text.append(f"\n          {finding.fix}", style="bold") if finding.fix else text


def facts(*rows: tuple[str, object]) -> Table:
    """Names and values, one a line, without frames."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text | ProgressBar) else Text(str(value)))
    return table


def plan_values(plan: "Plan") -> dict[str, Any]:
    """A plan for machines."""
    return {
        "dataset": plan.dataset.label,
        "images": len(plan.dataset),
        "done_before": plan.known - plan.failed_before,
        "failed_before": plan.failed_before,
        "parent": plan.parent,
        "bytes": plan.dataset.bytes,
        "chunks": plan.tasks,
        "tasks": plan.tasks,
        "split": {plan.dataset.paths[one.index]: one.bands for one in plan.split},
        "outputs": plan.outputs,
        "variants": [variant.name for variant in plan.recipe.variants],
        "largest_chunk": plan.largest,
        "rejected": [asdict(one) for one in plan.dataset.rejected],
        "attachments": [one.attachment.model_dump() for one in plan.attachments],
        "ignored": plan.dataset.ignored + plan.dataset.hidden,
    }


def plan_table(plan: "Plan", *more: tuple[str, object], again: bool = False) -> RenderableType:
    """A plan for people, and ``more`` lines after those about what is done; ``again``: it is a retry's."""
    dataset = plan.dataset
    rows: list[tuple[str, object]] = [
        ("Dataset", dataset.label),
        ("Images", f"{len(dataset):,} ({size(dataset.bytes)})"),
        ("Chunks", f"{plan.tasks:,}, up to {count(plan.largest, 'image')} each; one task a chunk"),
        ("Tasks", f"{plan.tasks:,}"),
        ("Variants", ", ".join(variant.name for variant in plan.recipe.variants) or "none"),
        ("Pictures", f"{plan.outputs:,}"),
    ]
    if plan.limits.split is not None:
        bands = sum(one.bands for one in plan.split)
        told = f"{count(len(plan.split), 'image')} over {bands:,} tasks, and one each that joins"
        rows.append(("Split", told if bands else "no image: none is done in tiles"))
    if plan.parent is not None:
        all_again = "" if again else "; --all does them again"
        rows[1:2] = [
            ("Again" if again else "New", f"{count(len(dataset), 'image')} ({size(dataset.bytes)})"),
            ("Done before", f"{count(plan.known - plan.failed_before, 'image')}, in run {plan.parent}{all_again}"),
        ]
        if plan.failed_before:
            told = f"{count(plan.failed_before, 'image')}; batchimg failures {plan.parent} tells why"
            rows.insert(3, ("Failed before", told))
    if dataset.ignored or dataset.hidden:
        rows.append(("Left alone", f"{dataset.ignored:,} other files, {dataset.hidden:,} hidden"))
    rows += [("Goes along", f"{one.attachment.name} ({size(one.attachment.size)})") for one in plan.attachments]
    rows += [("Cannot be sent", f"{one.path}: {one.message}") for one in dataset.rejected[:MOST_REJECTED]]
    if len(dataset.rejected) > MOST_REJECTED:
        rows.append(("", f"and {len(dataset.rejected) - MOST_REJECTED:,} more that cannot be sent"))
    return facts(*rows, *more)


def status_values(status: "RunStatus") -> dict[str, Any]:
    """A status for machines: times in ISO 8601, durations in seconds, sizes in bytes."""
    values = asdict(status)
    for name in ("created", "started", "ended"):
        values[name] = values[name].isoformat() if values[name] else None
    values["total"] = values["images"]
    return values


def status_panel(status: "RunStatus", pace: str = "") -> RenderableType:
    """A status for people; ``pace`` is the throughput of the last minutes, drawn."""
    processed = status.done + status.failed
    done = Text(f"{status.done:,} done")
    if status.truncated:
        done.append(f" ({status.truncated:,} of them truncated)", "yellow")
    done.append(f", {status.failed:,} failed", "red" if status.failed else "dim")
    if status.lost:
        done.append(f", {status.lost:,} not reached", "red")
    done.append(f" of {status.images:,}", "bold")
    bar = ProgressBar(total=max(status.images, 1), completed=processed, width=50)
    now = [("Now", pace)] if pace and not status.is_over else []
    parts: list[RenderableType] = [facts(("Images", done), ("", bar), *_status_rows(status), *now)]
    parts += [Text(line, "red") for line in _failures(status)]
    if status.note:
        parts.append(Text(status.note, "yellow", no_wrap=False, overflow="fold"))
    style = STATE_STYLES[status.state]
    return Panel(Group(*parts), title=f"[bold]{status.run}[/] [{style}]{status.state}[/]", title_align="left", width=78)


def _status_rows(status: "RunStatus") -> Iterator[tuple[str, object]]:
    chunks = status.chunks
    failed = f", {chunks.failed:,} failed" if chunks.failed else ""
    yield "Chunks", f"{chunks.done:,} done, {chunks.running:,} running{failed} of {chunks.total:,}"
    yield "Bytes", f"{size(status.bytes_in)} in, {size(status.bytes_out)} out"
    rate = f"{status.images_per_second:,.1f} images/s" if status.images_per_second else "not known yet"
    if status.eta_seconds is not None:
        rate += f", about {duration(status.eta_seconds)} to go"
    yield "Speed", rate
    if status.started and status.ended:
        yield "Took", duration((status.ended - status.started).total_seconds())
    if status.causes:
        yield "Failed", ", ".join(f"{number:,} {cause}" for cause, number in status.causes.items())
    for slow in status.slow[:MOST_SLOW]:
        so_far = f"{slow.done:,} of {slow.total:,} images; others took {duration(slow.median)}"
        yield "Slow", f"chunk {slow.chunk} for {duration(slow.seconds)} on {slow.node}, {so_far}"
    if not status.is_over:
        yield "Nodes", ", ".join(f"{number} {state}" for state, number in status.nodes.items()) or "none"


def _failures(status: "RunStatus") -> Iterator[str]:
    for task in status.failed_tasks[:5]:
        code = "" if task.exit_code is None else f" (exit code {task.exit_code})"
        yield f"chunk {task.id} failed{code}: batchimg logs {status.run} --chunk {task.id}"
    if status.is_over and status.lost:
        yield f"{count(status.lost, 'image')} not reached: batchimg retry {status.run}, or the same submit again"
    if status.is_over and status.failed:
        yield f"{count(status.failed, 'image')} failed; the reasons: batchimg failures {status.run}"


def failures_table(causes: "list[Cause]") -> Table:
    """Causes for people."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Images", justify="right")
    for name in ("State", "Cause", "Example"):
        table.add_column(name, overflow="fold")
    for cause in causes[:MOST_CAUSES]:
        reason = Text(f"{cause.error_type}: {cause.message}")
        table.add_row(f"{cause.images:,}", cause.status, reason, Text(cause.example))
    rest = causes[MOST_CAUSES:]
    if rest:
        images = sum(cause.images for cause in rest)
        table.add_row(f"{images:,}", "", f"{len(rest):,} more causes; --json lists them all", "")
    return table


def next_actions(causes: "list[Cause]", run: str) -> Iterator[str]:
    """What to type for images that are not done, by what they are."""
    if any(cause.sent and cause.status != "quarantined" for cause in causes):
        yield f"batchimg retry {run}   does them again; --cause TEXT those of one cause alone"
    if any(cause.status == "quarantined" for cause in causes):
        yield f"batchimg retry {run} --include-quarantined   tries also those that ended their worker"
    if any(not cause.sent for cause in causes):
        yield "What was never sent: mend it, and type the same `batchimg submit` again"


def runs_table(specs: "list[RunSpec]") -> Table:
    """All runs for people."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Run", no_wrap=True, overflow="ignore", min_width=max(len(spec.run) for spec in specs))
    for name in ("Started", "Dataset"):
        table.add_column(name, overflow="fold")
    for name in ("Images", "Bytes", "Chunks"):
        table.add_column(name, justify="right")
    for spec in specs:
        started = spec.created.astimezone().strftime("%Y-%m-%d %H:%M")
        numbers = (f"{spec.images:,}", size(spec.bytes), f"{spec.chunks:,}")
        table.add_row(Text(spec.run), started, Text(spec.dataset), *numbers)
    return table


def preview_table(preview: "Preview") -> RenderableType:
    """A preview for people."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Variant")
    table.add_column("Size", justify="right")
    table.add_column("Bytes", justify="right")
    table.add_column("File", overflow="fold")
    for one in preview.pictures:
        table.add_row(Text(one.variant), f"{one.width} x {one.height}", size(one.bytes), Text(str(one.file)))
    rows: list[tuple[str, object]] = [("Image", f"{preview.image} ({preview.width} x {preview.height})")]
    rows += [("Note", note) for note in preview.notes]
    rows += [(name, value) for name, value in preview.measures.items()]
    return Group(facts(*rows), table, Text(f"{preview.seconds:.2f} s", "dim"))


def operation_values(name: str | None) -> dict[str, Any]:
    """Operations and measures for machines: help and JSON Schema of each."""
    from batchimg_worker.operations import MEASURES, OPERATIONS

    registries = (("operations", OPERATIONS), ("measures", MEASURES))
    values: dict[str, Any] = {
        kind: {
            one: {"help": r.get(one).help, "schema": r.get(one).schema()} for one in r.names() if name in (None, one)
        }
        for kind, r in registries
    }
    if name is not None and not any(values.values()):
        OPERATIONS.get(name)
    return values


def operations_tables(name: str | None) -> Iterator[RenderableType]:
    """Operations, measures and recipes for people."""
    from batchimg_worker.operations import MEASURES, OPERATIONS
    from batchimg_worker.recipe import builtin_recipes

    if name is not None and name not in OPERATIONS and name not in MEASURES:
        OPERATIONS.get(name)
    for title, registry in (("Operation", OPERATIONS), ("Measure", MEASURES)):
        names = [one for one in registry.names() if name in (None, one)]
        if not names:
            continue
        table = Table(box=box.SIMPLE_HEAD)
        for column in (title, "Parameter", "Default", "Help"):
            table.add_column(column, overflow="fold")
        for one in names:
            operation = registry.get(one)
            table.add_row(Text(one, "bold"), "", "", Text(operation.help))
            for parameter in operation.parameters:
                default = (
                    "required" if parameter.required else "" if parameter.default is None else str(parameter.default)
                )
                table.add_row("", Text(parameter.name), Text(default), Text(parameter.help))
        yield table
    if name is None:
        yield Text(f"Built-in recipes: {', '.join(builtin_recipes())}")


def stack_values(stack: "StackStatus", *, keys: bool = False) -> dict[str, Any]:
    """The local stack for machines; its keys only where they are asked for."""
    values = asdict(stack) | {"running": stack.stack is not None}
    if values["stack"] is not None and not keys:
        del values["stack"]["storage_key"], values["stack"]["batch_key"]
    return values


def stack_table(stack: "StackStatus") -> RenderableType:
    """The local stack for people."""
    if stack.stack is None:
        rows: list[tuple[str, object]] = [("Local stack", Text(f"not running: {stack.reason}", "yellow"))]
    else:
        running = stack.stack
        rows = [
            ("Local stack", Text(f"running for {duration(stack.uptime_seconds)}", "green")),
            ("Blobs", running.blob_endpoint),
            ("Queues", running.queue_endpoint),
            ("Batch", f"{running.batch_endpoint} (account {running.batch_account})"),
        ]
    for service in stack.services:
        state = f"pid {service.pid}, {size(service.memory_bytes)}" if service.alive else "not running"
        again = f", started again {count(service.restarts, 'time')}" if service.restarts else ""
        rows.append((f"  {service.name}", f"{state}{again}; log {service.log} ({size(service.log_bytes)})"))
    rows.append(("Stored", f"{stack.data_folder} ({size(stack.data_bytes)})"))
    rows.append(("Logs", f"{stack.log_folder} ({size(stack.log_bytes)})"))
    return facts(*rows)
