import json

import pytest

from batch_emulator.errors import BatchError
from batch_emulator.support import SUPPORT
from batch_emulator.validation import OLD_FIELDS, parse_body, schema


def parse(model, body):
    return parse_body(model, json.dumps(body).encode())


def test_every_row_of_the_support_table_names_fields_of_the_schema():
    for model, row in SUPPORT.items():
        known = schema()["$defs"].get(model) or {"properties": {"access": ""}}
        properties = known["properties"].keys() | OLD_FIELDS.get(model, {}).keys()
        assert row.acted | row.recorded <= properties, model
        assert row.acted.isdisjoint(row.recorded), model


def test_what_living_clients_send_is_put_into_canonical_form():
    body = {
        "id": "j",
        "priority": "7",
        "displayName": None,
        "onAllTasksComplete": "NoAction",
        "constraints": {"maxWallClockTime": "PT03M00S"},
        "poolInfo": {"poolId": "p"},
    }
    assert parse("BatchJobCreateOptions", body) == {
        "id": "j",
        "priority": 7,
        "onAllTasksComplete": "noaction",
        "constraints": {"maxWallClockTime": "PT3M"},
        "poolInfo": {"poolId": "p"},
    }


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        ({"id": "t", "commandLine": "x", "nope": 1}, "InvalidRequestBody", "'nope'"),
        ({"id": "t"}, "MissingRequiredProperty", "commandLine"),
        ({"id": "t", "commandLine": None}, "MissingRequiredProperty", "commandLine"),
        ({"id": 7, "commandLine": "x"}, "InvalidPropertyValue", "string"),
        ({"id": "t", "commandLine": "x", "requiredSlots": "two"}, "InvalidPropertyValue", "integer"),
        ({"id": "t", "commandLine": "x", "requiredSlots": 2**40}, "InvalidPropertyValue", "32 bits"),
        ({"id": "t", "commandLine": "x", "requiredSlots": True}, "InvalidPropertyValue", "integer"),
        ({"id": "t", "commandLine": "x", "resourceFiles": {}}, "InvalidPropertyValue", "array"),
        (
            {"id": "t", "commandLine": "x", "constraints": {"retentionTime": "soon"}},
            "InvalidPropertyValue",
            "constraints.retentionTime",
        ),
        (
            {"id": "t", "commandLine": "x", "outputFiles": [{"filePattern": "*", "destination": {}}]},
            "MissingRequiredProperty",
            r"outputFiles\[0\].uploadOptions",
        ),
    ],
)
def test_wrong_bodies_are_refused_with_the_place(body, code, part):
    with pytest.raises(BatchError, match=part) as caught:
        parse("BatchTaskCreateOptions", body)
    assert caught.value.code == code


def test_an_unsupported_field_that_asks_for_nothing_is_no_trouble():
    parse("BatchTaskCreateOptions", {"id": "t", "commandLine": "x", "outputFiles": [], "containerSettings": None})


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(BatchError) as caught:
        parse_body("BatchJobCreateOptions", body)
    assert caught.value.status == 400
