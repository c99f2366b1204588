"""What Azure Resource Manager says, from a server that answers as it does."""

import http.server
import json
import threading

import pytest

from batchimg.errors import ServiceError, SettingsError
from batchimg.management import AccountFacts, Management

ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/one"
STORAGE = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/one"
JOBS = "Microsoft.Batch/batchAccounts/jobs/write"
PERMISSIONS = "/providers/Microsoft.Authorization/permissions"


@pytest.fixture
def answers():
    """What is answered to a path; anything else is 403."""
    return {}


@pytest.fixture
def management(answers):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            known = path in answers and "api-version=" in query and self.headers["Authorization"] == "Bearer token"
            body = json.dumps(answers[path] if known else {}).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Management(ACCOUNT, lambda: "token", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_quotas_and_storage_of_an_account(management, answers):
    properties = {"dedicatedCoreQuota": 20, "lowPriorityCoreQuota": 100, "autoStorage": {"storageAccountId": STORAGE}}
    answers[ACCOUNT] = {"properties": properties}
    assert management.account() == AccountFacts(20, 100, STORAGE)


@pytest.mark.parametrize(("enforced", "families"), [(True, {"standarddadsv5family": 8}), (False, {})])
def test_quotas_of_families_count_where_they_are_enforced(management, answers, enforced, families):
    listed = [{"name": "standardDADSv5Family", "coreQuota": 8}]
    answers[ACCOUNT] = {
        "properties": {
            "accountEndpoint": "one.westeurope.batch.azure.com",
            "dedicatedCoreQuotaPerVMFamilyEnforced": enforced,
            "dedicatedCoreQuotaPerVMFamily": listed,
        }
    }
    facts = management.account()
    assert (facts.family_cores, facts.host) == (families, "one.westeurope.batch.azure.com")


def test_an_account_without_auto_storage(management, answers):
    answers[ACCOUNT] = {"properties": {"dedicatedCoreQuota": 20, "lowPriorityCoreQuota": 0, "autoStorage": None}}
    assert management.account() == AccountFacts(20, 0, None)


@pytest.mark.parametrize(
    ("granted", "may"),
    [
        ([], False),
        ([{"dataActions": ["Microsoft.Batch/batchAccounts/jobs/*"]}], True),
        ([{"dataActions": ["Microsoft.Batch/*"], "notDataActions": ["*/jobs/write"]}], False),
        ([{"dataActions": ["Microsoft.Batch/*/read"]}, {"dataActions": ["microsoft.batch/*"]}], True),
        ([{"actions": ["*"], "dataActions": []}], False),
        ([{"dataActions": ["Microsoft.Storage/*"]}], False),
    ],
)
def test_what_the_caller_may_do(management, answers, granted, may):
    answers[ACCOUNT + PERMISSIONS] = {"value": granted}
    assert management.may(ACCOUNT, JOBS) is may


def test_a_refusal_names_the_resource_and_the_role(management):
    with pytest.raises(ServiceError) as caught:
        management.account()
    assert ACCOUNT in caught.value.message
    assert "Account Reader" in caught.value.hint


@pytest.mark.parametrize("text", [[], "<html>sign in here</html>", None])
def test_an_answer_that_is_not_azures_is_told_and_no_surprise(management, answers, text):
    answers[ACCOUNT] = text
    with pytest.raises(ServiceError, match="does not answer as Azure does") as caught:
        management.account()
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize(
    "account_id", ["@example.org" + ACCOUNT, ".example.org" + ACCOUNT, ACCOUNT + "?x=1", ACCOUNT + "/../two", "one", ""]
)
def test_your_token_goes_nowhere_else_than_to_azure(account_id):
    with pytest.raises(SettingsError, match="no id of a Batch account"):
        Management(account_id, lambda: pytest.fail("a token was asked for"))
