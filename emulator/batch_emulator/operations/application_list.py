"""Operations on applications: read only, as on Azure; their packages come from a folder."""

from __future__ import annotations

from batch_emulator import applications
from batch_emulator.account import Account
from batch_emulator.entities import Spec
from batch_emulator.errors import BatchError
from batch_emulator.paging import collect, list_reply, numbered
from batch_emulator.wire import Reply, Request, element


def _fields(name: str, account: Account) -> Spec:
    versions = applications.listed(account.settings.applications)[name]
    return {"id": name, "displayName": name, "versions": list(versions)}


def list_applications(account: Account, request: Request) -> Reply:
    """All applications."""
    names = numbered(list(applications.listed(account.settings.applications)), request)
    page = collect(request, names, {"id": lambda name: name}, lambda name: _fields(name, account))
    return list_reply(account, request, "applications", page)


def get(account: Account, request: Request) -> Reply:
    """One application."""
    wanted = request.path["applicationId"].lower()
    for name in applications.listed(account.settings.applications):
        if name.lower() == wanted:
            return element(account.url, "applications", _fields(name, account))
    raise BatchError("ApplicationNotFound")
