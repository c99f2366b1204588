"""Azure Resource Manager, read only: quotas of the Batch account, and what the caller may do."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchimg.batch_errors import not_signed_in
from batchimg.errors import ServiceError, SettingsError
from batchimg_worker.storage import reason_of

ENDPOINT = "https://management.azure.com"
_BATCH_VERSION, _PERMISSIONS_VERSION = "2025-06-01", "2022-04-01"
_SECONDS = 30
# Nothing else follows the host of Azure Resource Manager, for your token goes where it leads.
_ACCOUNT_ID = re.compile(
    r"/subscriptions/[\w-]+/resourceGroups/[\w.()-]+/providers/Microsoft\.Batch/batchAccounts/\w+", re.IGNORECASE
)

Token = Callable[[], str]


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """Quotas in cores; ``storage_id`` is the ARM id of the account's auto storage, None without one.

    ``host`` is where the account answers. ``family_cores`` are quotas of dedicated cores by family, small letters;
    empty where the account has none of their own.
    """

    dedicated_cores: int | None
    spot_cores: int | None
    storage_id: str | None
    host: str | None = None
    family_cores: Mapping[str, int] = field(default_factory=dict)


class Management:
    """Reads about one Batch account. ``token`` gives a bearer token; by default that of your Azure identity."""

    def __init__(self, account_id: str, token: Token | None = None, endpoint: str = ENDPOINT) -> None:
        """Raises SettingsError for what is no id of a Batch account."""
        if not _ACCOUNT_ID.fullmatch(account_id):
            raise SettingsError(
                f"batch_account_id is {account_id!r}, which is no id of a Batch account",
                "`az batch account show --query id` prints it; without it quotas and roles are not looked at.",
            )
        self.account_id = account_id
        self._token, self._endpoint = token or _own_token, endpoint

    def account(self) -> AccountFacts:
        """What Azure Resource Manager says of the account. Raises ServiceError."""
        facts = self._get(self.account_id, _BATCH_VERSION).get("properties", {})
        return AccountFacts(
            dedicated_cores=facts.get("dedicatedCoreQuota"),
            spot_cores=facts.get("lowPriorityCoreQuota"),
            storage_id=(facts.get("autoStorage") or {}).get("storageAccountId"),
            host=facts.get("accountEndpoint"),
            family_cores=_families(facts) if facts.get("dedicatedCoreQuotaPerVMFamilyEnforced") else {},
        )

    def may(self, resource_id: str, action: str) -> bool:
        """Whether the caller may do a data action on a resource, by any role. Raises ServiceError."""
        path = f"{resource_id}/providers/Microsoft.Authorization/permissions"
        granted = self._get(path, _PERMISSIONS_VERSION).get("value", [])
        return any(
            _covers(one.get("dataActions"), action) and not _covers(one.get("notDataActions"), action)
            for one in granted
        )

    def _get(self, path: str, version: str) -> Mapping[str, Any]:
        import requests

        url = f"{self._endpoint}{path}"
        try:
            answer = requests.get(
                url,
                params={"api-version": version},
                headers={"Authorization": f"Bearer {self._token()}"},
                timeout=_SECONDS,
            )
        except requests.RequestException as error:
            raise ServiceError(f"no answer from {self._endpoint}: {reason_of(error)}", code="Unreachable") from error
        if not answer.ok:
            role = "Azure Batch Account Reader" if path.startswith(self.account_id) else "Reader"
            hint = f"You need the role {role} on it."
            raise ServiceError(f"cannot read {path}: HTTP {answer.status_code}", hint, code=str(answer.status_code))
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            hint = "Is there a proxy between? See to HTTPS_PROXY."
            raise ServiceError(f"{self._endpoint} does not answer as Azure does", hint, code="Unreadable")
        return found


def _families(facts: Mapping[str, Any]) -> dict[str, int]:
    listed = facts.get("dedicatedCoreQuotaPerVMFamily") or []
    return {str(one["name"]).lower(): int(one["coreQuota"]) for one in listed}


def _covers(patterns: list[str] | None, action: str) -> bool:
    """Whether one of Azure's patterns, in which `*` stands for anything, means an action."""
    return any(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), action, re.IGNORECASE)
        for pattern in patterns or ()
    )


def _own_token() -> str:
    from azure.core.exceptions import AzureError
    from azure.identity import DefaultAzureCredential

    try:
        return DefaultAzureCredential().get_token(f"{ENDPOINT}/.default").token
    except AzureError as error:
        raise not_signed_in("ask Azure Resource Manager", error) from error
