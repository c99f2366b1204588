"""Lists: $filter, $select, maxresults and the link to the next page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from batch_emulator.account import Account
from batch_emulator.errors import query_error
from batch_emulator.filters import Property, parse_filter
from batch_emulator.versions import has_field
from batch_emulator.wire import Reply, Request, json_reply

T = TypeVar("T")
Select = frozenset[str] | None
MAX_RESULTS = 1000
LOOKS_A_PAGE = 100_000
"""Entities a filter may look at before a page ends, so that a page of few hits does not take for ever."""


def select_fields(fields: dict[str, Any], wanted: Select) -> dict[str, Any]:
    """Only the wanted fields, and no empty ones."""
    return {name: value for name, value in fields.items() if value is not None and (wanted is None or name in wanted)}


def selection(request: Request, model: str) -> Select:
    """$select, with unknown names refused."""
    wanted = request.names("$select")
    for name in sorted(wanted or ()):
        if not has_field(model, name, request.version):
            raise query_error("$select", name, f"{model} has no such property.")
    return wanted


def wants_stats(request: Request) -> bool:
    """Whether $expand asks for the statistics; it can ask for nothing else."""
    names = request.names("$expand") or frozenset()
    for name in names:
        if name != "stats":
            raise query_error("$expand", name, "Only stats can be expanded.")
    return bool(names)


class Page(list[dict[str, Any]]):
    """The items of one page, and where the next one starts."""

    next_at: int | None = None


def collect(
    request: Request,
    source: Iterable[tuple[int, T]],
    properties: Mapping[str, Property[T]],
    render: Callable[[T], dict[str, Any]],
) -> Page:
    """One page of `source`, which yields (position, entity) from `start(request)` on."""
    limit = request.whole("maxresults", 1, MAX_RESULTS) or MAX_RESULTS
    text = request.query.get("$filter")
    matches = parse_filter(text, properties) if text else None
    page = Page()
    for looks, (position, entity) in enumerate(source, 1):
        if len(page) == limit or looks > LOOKS_A_PAGE:
            page.next_at = position
            break
        if matches is None or matches(entity):
            page.append(render(entity))
    return page


def start(request: Request) -> int:
    """The position at which the page that the client wants starts."""
    token = request.query.get("$skiptoken", "0")
    if not token.isdecimal():
        raise query_error("$skiptoken", token, "Use odata.nextLink as it was given.")
    return int(token)


def numbered(items: Iterable[T], request: Request) -> Iterable[tuple[int, T]]:
    """(position, item) of a collection that is small enough to be walked for each page."""
    first = start(request)
    return ((place, item) for place, item in enumerate(items) if place >= first)


def list_reply(account: Account, request: Request, name: str, page: Page) -> Reply:
    """The JSON of one page."""
    fields: dict[str, Any] = {"odata.metadata": f"{account.url}/$metadata#{name}", "value": page}
    if page.next_at is not None:
        query = {key: value for key, value in request.query.items() if key != "$skiptoken"}
        query["$skiptoken"] = str(page.next_at)
        link = urlencode(query, quote_via=quote, safe="$")
        fields["odata.nextLink"] = f"{account.url}{request.raw_path}?{link}"
    return json_reply(fields)
