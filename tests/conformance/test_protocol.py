import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError

from batch_emulator.versions import API_VERSIONS


def test_the_front_page_and_health_need_no_key_and_tell_no_secret(account):
    for path in ("/", "/healthz"):
        answer = account.send("GET", path, query="", headers={"authorization": "none"})
        assert answer.status == 200
        assert account.key.encode() not in answer.content


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_versions_of_living_clients_are_accepted(account, version):
    answer = account.send("GET", "/pools", query=f"api-version={version}&timeout=30")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json;odata=minimalmetadata"


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "code"),
    [
        ("GET", "/pools", "", 400, "MissingRequiredQueryParameter"),
        ("GET", "/pools", "api-version=2016-02-01.3.0", 400, "UnsupportedRequestVersion"),
        ("GET", "/pools", "api-version=2025-06-01&colour=red", 400, "UnsupportedQueryParameter"),
        ("GET", "/pools", "api-version=2025-06-01&maxresults=1001", 400, "OutOfRangeQueryParameterValue"),
        ("GET", "/pools", "api-version=2025-06-01&%24filter=x%20eq%201", 400, "InvalidQueryParameterValue"),
        ("GET", "/pools", "api-version=2025-06-01&%24select=nope", 400, "InvalidQueryParameterValue"),
        ("GET", "/swimming/pools", "api-version=2025-06-01", 400, "InvalidUri"),
        ("DELETE", "/pools", "api-version=2025-06-01", 405, "UnsupportedHttpVerb"),
        ("GET", "/jobs/%2e%2e", "api-version=2025-06-01", 404, "JobNotFound"),
    ],
)
def test_what_is_wrong_is_refused_in_azures_words(account, method, path, query, status, code):
    answer = account.send(method, path, query=query)
    assert (answer.status, answer.code) == (status, code)
    assert answer.body["message"]["lang"] == "en-US"
    assert f"RequestId:{answer.headers['request-id']}\nTime:" in answer.body["message"]["value"]
    assert answer.body["odata.metadata"].endswith("Container.errors/@Element")


def test_a_wrong_key_is_403_and_no_key_401(account):
    wrong = account.send("GET", "/pools", key="d3Jvbmc=")
    assert (wrong.status, wrong.code) == (403, "AuthenticationFailed")
    missing = account.send("GET", "/pools", headers={"authorization": ""})
    assert (missing.status, missing.code) == (401, "InvalidAuthenticationInfo")


def test_a_stale_date_is_403(account):
    answer = account.send("GET", "/pools", headers={"ocp-date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")


def test_the_client_request_id_comes_back_when_it_is_asked_for(account):
    ids = {"client-request-id": "abc-1"}
    assert "client-request-id" not in account.send("GET", "/jobs", headers=ids).headers
    answer = account.send("GET", "/jobs", headers=ids | {"return-client-request-id": "true"})
    assert answer.headers["client-request-id"] == "abc-1"


def test_a_body_above_one_megabyte_is_413(account, bench):
    path = f"/jobs/{bench.job()}/addtaskcollection"
    answer = account.send("POST", path, b" " * 1_048_577)
    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")


@pytest.mark.live
def test_etags_are_honoured_quoted_and_unquoted(client, bench):
    job_id = bench.job()
    job = client.get_job(job_id)
    same = {"etag": job.etag, "match_condition": MatchConditions.IfNotModified}
    client.update_job(job_id, {"priority": 5}, **same)
    with pytest.raises(ResourceModifiedError):
        client.update_job(job_id, {"priority": 6}, **same)
    assert client.get_job(job_id).priority == 5


def test_an_unchanged_entity_is_304(account, bench):
    path = f"/jobs/{bench.job()}"
    head = account.send("GET", path).headers
    for name, value in (("if-none-match", head["etag"]), ("if-modified-since", head["last-modified"])):
        answer = account.send("GET", path, headers={name: value})
        assert (answer.status, answer.content) == (304, b"")
    assert account.send("GET", path, headers={"if-none-match": "0x1"}).status == 200


def test_lists_come_in_pages_whose_links_keep_the_query(client, bench):
    jobs = sorted(bench.job() for _ in range(5))
    found = client.list_jobs(max_results=2, filter=f"startswith(id,'{jobs[0][:20]}')", select=["id"])
    pages = [[job.id for job in page] for page in found.by_page()]
    assert sorted(job for page in pages for job in page) == jobs
    assert all(len(page) <= 2 for page in pages)


@pytest.mark.live
def test_select_gives_only_what_is_named(client, bench):
    job = client.get_job(bench.job(), select=["id", "state"])
    assert {name for name in job.as_dict() if not name.startswith("odata")} == {"id", "state"}


@pytest.mark.live
def test_a_missing_resource_is_the_sdks_not_found(client):
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_job("no-such-job-here")
    assert caught.value.error.code == "JobNotFound"


def test_an_unknown_field_is_refused(account):
    answer = account.send("POST", "/jobs", {"id": "a", "poolInfo": {"poolId": "p"}, "colour": "red"})
    assert (answer.status, answer.code) == (400, "InvalidRequestBody")
    assert "colour" in answer.body["values"][0]["value"]


def test_a_field_that_nothing_acts_upon_is_refused_by_name(bench):
    from azure.batch import models

    share = models.AzureFileShareConfiguration(
        account_name="a", azure_file_url="https://a", account_key="k", relative_mount_path="m"
    )
    mounts = [models.MountConfiguration(azure_file_share_configuration=share)]
    with pytest.raises(HttpResponseError) as caught:
        bench.pool(0, mount_configuration=mounts)
    assert caught.value.error.code == "UnsupportedProperty"
    assert caught.value.error.details[0].message == "mountConfiguration"


@pytest.mark.parametrize("bad", ["..", "a/b", "a b", "", "x" * 65, "é", "a\n", "%2e"])
def test_ids_follow_the_rules(account, bad):
    answer = account.send("POST", "/jobs", {"id": bad, "poolInfo": {"poolId": "p"}})
    assert (answer.status, answer.code) == (400, "InvalidPropertyValue")


def test_numbers_may_come_as_strings_and_enums_in_any_case(account, bench):
    job_id = bench.new_id("job")
    body = {"id": job_id, "poolInfo": {"poolId": "p"}, "priority": "7", "onAllTasksComplete": "noAction"}
    assert account.send("POST", "/jobs", body).status == 201
    assert account.send("GET", f"/jobs/{job_id}").body["priority"] == 7
    account.send("DELETE", f"/jobs/{job_id}")
