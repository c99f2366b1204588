"""Lists of entities and single ones: what is the same for pools, jobs, tasks and job schedules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from batch_emulator.account import Account
from batch_emulator.filters import Property
from batch_emulator.paging import Select, collect, list_reply, selection, wants_stats
from batch_emulator.wire import Reply, Request, check_preconditions, element


class Versioned(Protocol):
    """An entity with an ETag."""

    modified: int


E = TypeVar("E", bound=Versioned)
E_contra = TypeVar("E_contra", contravariant=True)


class Render(Protocol[E_contra]):
    """Shows an entity: the wanted fields, and the statistics if they are asked for."""

    def __call__(
        self, account: Account, entity: E_contra, wanted: Select = None, /, *, stats: bool = False
    ) -> dict[str, Any]:
        """The fields of one entity."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[E]):
    """One kind of entities: its name in URLs, its model, what can be filtered, and how one is shown."""

    name: str
    model: str
    properties: Mapping[str, Property[E]]
    render: Render[E]

    def page(self, account: Account, request: Request, source: Iterable[tuple[int, E]]) -> Reply:
        """One page of a list; `source` as `collect` takes it."""
        stats, wanted = wants_stats(request), selection(request, self.model)
        page = collect(
            request, source, self.properties, lambda entity: self.render(account, entity, wanted, stats=stats)
        )
        return list_reply(account, request, self.name, page)

    def one(self, account: Account, request: Request, entity: E) -> Reply:
        """A single entity, under the preconditions of the request."""
        check_preconditions(request, entity.modified)
        stats, wanted = wants_stats(request), selection(request, self.model)
        fields = self.render(account, entity, wanted, stats=stats)
        return element(account.url, self.name, fields, entity.modified)
