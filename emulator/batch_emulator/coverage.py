"""Which operations of Azure Batch the emulator has: the table of `batch-emulator coverage` and docs/emulator.md."""

from __future__ import annotations

from batch_emulator.routes import ROUTES, Route

BEGIN, END = "<!-- coverage: written by `make docs` -->", "<!-- end of coverage -->"
LOCAL_MEANING = {
    "GET /pools/{poolId}/nodes/{nodeId}/remoteloginsettings": "there is no machine to log in to",
}
"""Operations that are answered, but with an error that says why they cannot mean anything on one machine."""


def state(route: Route) -> str:
    """Whether an operation is emulated, and if not, what it answers."""
    if route.operation is None:
        return "501 UnsupportedOperation"
    reason = LOCAL_MEANING.get(f"{route.method} {route.template}")
    return f"refused: {reason}" if reason else "emulated"


def table() -> str:
    """All operations in the order of the service's own reference, as Markdown."""
    rows = [f"| {route.method} | `{route.template}` | {state(route)} |" for route in ROUTES]
    done = sum(route.operation is not None for route in ROUTES)
    head = ["| Method | Path | State |", "|---|---|---|"]
    return (
        "\n".join(
            [*head, *rows, "", f"{done} of {len(ROUTES)} operations. Faults are off unless `start --faults` is said."]
        )
        + "\n"
    )


def with_table(page: str) -> str:
    """A Markdown page with the table between its two markers renewed."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}{END}{tail}"
