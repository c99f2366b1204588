import time
from base64 import b64encode
from email.utils import formatdate

import pytest

from batch_emulator.auth import SharedKey, sign, strings_to_sign
from batch_emulator.errors import BatchError
from batch_emulator.wire import Request


def string_to_sign(request, account):
    """The usual one of the strings that a client may sign."""
    return next(strings_to_sign(request, account))


KEY = b64encode(b"k" * 64).decode()


def request(**headers):
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/jobs/a%20b", "b=2&a=1&a=3&empty=&%24x=y", plain, b"")


def signed(key=b"k" * 64, account="acc", **headers):
    wanted = request(ocp_date=formatdate(usegmt=True), **headers)
    wanted.headers["authorization"] = f"SharedKey {account}:{sign(key, string_to_sign(wanted, account))}"
    return wanted


def test_the_signed_string_has_the_raw_path_and_the_first_values_in_order():
    lines = string_to_sign(request(content_type="t", ocp_date="d", ocp_a="1"), "acc").split("\n")
    assert lines == [
        "POST",
        "",
        "",
        "0",
        "",
        "t",
        *[""] * 6,
        "ocp-a:1",
        "ocp-date:d",
        "/acc/jobs/a%20b",
        "$x:y",
        "a:1",
        "b:2",
    ]


def test_a_right_signature_passes():
    SharedKey("acc", KEY).verify(signed())


@pytest.mark.parametrize("wrong", [{"key": b"x" * 64}, {"account": "other"}], ids=["key", "account"])
def test_a_wrong_key_or_account_is_forbidden(wrong):
    with pytest.raises(BatchError) as caught:
        SharedKey("acc", KEY).verify(signed(**wrong))
    assert (caught.value.code, caught.value.status) == ("AuthenticationFailed", 403)


def test_a_signed_header_cannot_be_changed_afterwards():
    changed = signed(content_length="10")
    changed.headers["content-length"] = "11"
    with pytest.raises(BatchError, match="AuthenticationFailed"):
        SharedKey("acc", KEY).verify(changed)


@pytest.mark.parametrize(
    ("method", "length"), [("DELETE", ""), ("DELETE", "0"), ("POST", "0"), ("GET", ""), ("GET", "0")]
)
def test_no_body_may_be_signed_as_nothing_or_as_zero(method, length):
    headers = {"ocp-date": formatdate(usegmt=True)}
    wanted = Request(method, "/jobs/a", "", headers, b"")
    lines = string_to_sign(wanted, "acc").split("\n")
    lines[3] = length
    headers["authorization"] = f"SharedKey acc:{sign(b'k' * 64, chr(10).join(lines))}"
    SharedKey("acc", KEY).verify(wanted)


def test_a_body_without_a_length_in_the_head_is_signed_with_its_length():
    bare = signed()
    added = Request(bare.method, bare.raw_path, bare.query_string, bare.headers, b"{}")
    with pytest.raises(BatchError, match="AuthenticationFailed"):
        SharedKey("acc", KEY).verify(added)
    added.headers["authorization"] = f"SharedKey acc:{sign(b'k' * 64, string_to_sign(added, 'acc'))}"
    SharedKey("acc", KEY).verify(added)


def test_a_date_that_a_proxy_adds_beside_ocp_date_does_not_count():
    wanted = signed()
    wanted.headers["date"] = "Mon, 01 Jan 2024 00:00:00 GMT"
    SharedKey("acc", KEY).verify(wanted)


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_a_request_more_than_15_minutes_off_is_refused(seconds):
    old = signed()
    old.headers["ocp-date"] = formatdate(time.time() + seconds, usegmt=True)
    old.headers["authorization"] = f"SharedKey acc:{sign(b'k' * 64, string_to_sign(old, 'acc'))}"
    with pytest.raises(BatchError, match="15 minutes"):
        SharedKey("acc", KEY).verify(old)


@pytest.mark.parametrize("value", ["", "SharedKey", "SharedKey acc", "Bearer abc", "SharedKey acc:"])
def test_another_authorization_is_401(value):
    with pytest.raises(BatchError) as caught:
        SharedKey("acc", KEY).verify(request(authorization=value))
    assert caught.value.status == 401
