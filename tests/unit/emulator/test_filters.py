import pytest

from batch_emulator.durations import timestamp_ticks
from batch_emulator.errors import BatchError
from batch_emulator.filters import parse_filter

PROPERTIES = {name: lambda entity, name=name: entity.get(name) for name in ("id", "state", "n", "on", "at", "a/b")}
ENTITY = {
    "id": "Task-7",
    "state": "active",
    "n": 3,
    "on": True,
    "at": timestamp_ticks("2026-05-01T12:00:00Z"),
    "a/b": "x",
}


@pytest.mark.parametrize(
    "text",
    [
        "state eq 'active'",
        "state eq 'ACTIVE'",
        "id ne 'other'",
        "n gt 2 and n lt 4",
        "n ge 3 and n le 3",
        "on eq true",
        "n eq 9 or state eq 'active'",
        "not (n eq 9)",
        "not n eq 9",
        "startswith(id, 'task-')",
        "at gt DateTime'2026-04-30T00:00:00Z' and at lt datetime'2026-05-02'",
        "a/b eq 'x'",
        "(n eq 1 or (n eq 3 and state eq 'active'))",
        "n eq 3 or n eq 4 and n eq 5",
    ],
)
def test_filters_that_match(text):
    assert parse_filter(text, PROPERTIES)(ENTITY)


@pytest.mark.parametrize(
    "text", ["state eq 'done'", "n gt 3", "not (n eq 3)", "startswith(id,'x')", "on eq false", "id eq 3", "id gt 3"]
)
def test_filters_that_do_not_match(text):
    assert not parse_filter(text, PROPERTIES)(ENTITY)


def test_a_property_without_value_matches_only_null_and_ne():
    assert parse_filter("state eq null", PROPERTIES)({})
    assert parse_filter("state ne 'x'", PROPERTIES)({})
    assert not parse_filter("n lt 5", PROPERTIES)({})


def test_a_quote_in_a_text_is_doubled():
    assert parse_filter("id eq 'it''s'", PROPERTIES)({"id": "it's"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nope eq 1", "'nope' is not one of the properties"),
        ("state is 'x'", "'is' is not one of eq"),
        ("state eq", "ends too early"),
        ("state eq 'x' n", "is too much"),
        ("(n eq 1", r"expected '\)'"),
        ("n eq 1 and", "ends too early"),
        ("state eq 'x", "not understood"),
        ("n gt null", "eq and ne only"),
        ("at gt DateTime'soon'", "soon"),
        ("startswith(id, 3)", "needs a text"),
        ("(" * 60 + "n eq 1" + ")" * 60, "nested too deeply"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_reason(text, reason):
    with pytest.raises(BatchError, match=reason) as caught:
        parse_filter(text, PROPERTIES)
    assert caught.value.code == "InvalidQueryParameterValue"
