"""The reader of the autoscale language: what it takes, where it says no, and that it never breaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_emulator.autoscale.evaluator import read
from batch_emulator.autoscale.parser import MAX_DEPTH, MAX_LENGTH, parse
from batch_emulator.autoscale.problems import FormulaError
from batch_emulator.autoscale.syntax import (
    Call,
    Chain,
    Choice,
    Link,
    Member,
    Method,
    Name,
    Number,
    Statement,
    Text,
    Unary,
    Vector,
    formula_text,
)

NAMES = st.sampled_from(["a", "$b", "_c1", "$TargetDedicatedNodes", "TimeInterval_Hour"])
LEAVES = st.one_of(
    st.builds(Number, st.floats(min_value=0, allow_nan=False, allow_infinity=False)),
    st.builds(Text, st.text(st.characters(exclude_characters='"\n', exclude_categories=["Cs"]), max_size=5)),
    st.builds(Name, NAMES),
)


def branches(inner):
    some = st.lists(inner, max_size=3).map(tuple)

    def chain(operators):
        links = st.lists(st.builds(Link, st.sampled_from(operators), inner), min_size=1, max_size=3).map(tuple)
        return st.builds(Chain, inner, links)

    return st.one_of(
        st.builds(Vector, some),
        st.builds(Unary, st.sampled_from("-!"), inner),
        *(chain(rank) for rank in (["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">="], ["+", "-"], ["*", "/"])),
        st.builds(Choice, inner, inner, inner),
        st.builds(Call, st.sampled_from(["min", "nope"]), some),
        st.builds(Member, st.builds(Name, NAMES), st.just("hour")),
        st.builds(Method, st.builds(Name, NAMES), st.just("GetSample"), some),
    )


TREES = st.recursive(LEAVES, branches, max_leaves=12)
STATEMENTS = st.builds(Statement, st.none() | NAMES, TREES)
WORDS = st.sampled_from([*'()[],;?:.+-*/<>=!&|"$%1 \n', "==", "&&", "//", "/*", "*/", "min(", "avg", "$x", "1e9", ".5"])


@settings(deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=5).map(tuple))
def test_a_tree_survives_being_written_and_read(statements):
    assert parse(formula_text(statements)) == statements


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=60).map("".join)))
def test_any_text_is_read_or_refused_with_a_place(text):
    wrong = None
    try:
        read(text)
    except FormulaError as error:
        wrong = error
    if wrong is not None:
        assert wrong.code == "AutoScalingFormulaSyntaxError"
        assert min(wrong.place.line, wrong.place.column) >= 1


@pytest.mark.parametrize(
    "text", ["(" * 8000, "-" * 8000 + "1", "a?" * 4000, "a=[" * 2000, "1" + ".a" * 3000, "f(" * 3000]
)
def test_what_is_nested_too_deep_is_refused(text):
    with pytest.raises(FormulaError, match=r"Nested|Expected"):
        read(text)


def test_long_sums_are_fine():
    (statement,) = parse("a = 1" + " + 1" * 2000)
    assert len(statement.value.links) == 2000


def test_nesting_is_fine_up_to_its_limit():
    parse("a = " + "(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1))


def grouped(text):
    (statement,) = parse(text)
    return formula_text((statement,)).strip().removesuffix(";")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1 + 2 * 3", "(1.0 + (2.0 * 3.0))"),
        ("1 - 2 - 3", "(1.0 - 2.0 - 3.0)"),
        ("-a * b", "((-a) * b)"),
        ("!a && b || c", "(((!a) && b) || c)"),
        ("a < b == c >= d", "((a < b) == (c >= d))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a || b ? 1 : 2", "((a || b) ? 1.0 : 2.0)"),
        ("-time().weekday", "(-time().weekday)"),
        ("x = y == z", "x = (y == z)"),
    ],
)
def test_operators_bind_as_documented(written, meant):
    assert grouped(written) == meant


def test_comments_and_line_breaks_are_left_out():
    text = "// first\na = 1; /* two\nlines */ b = 2 // last"
    assert [one.target for one in parse(text)] == ["a", "b"]


def test_the_last_semicolon_may_be_missing_and_empty_statements_are_nothing():
    assert len(parse(";;a = 1;;b = 2")) == 2


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "Line 1, Col 1", "no statement"),
        ("a = ", "Line 1, Col 5", "Expected a value"),
        ("a = 1\nb = 2", "Line 2, Col 1", "Expected ';'"),
        ("a = 1;\n  1 = 2", "Line 2, Col 5", "Only a variable"),
        ("a = #", "Line 1, Col 5", "Unexpected character '#'"),
        ("a = 3x", "Line 1, Col 5", "Unexpected character '3'"),
        ('a = "open', "Line 1, Col 5", "Unexpected character"),
        ("a = min(1", "Line 1, Col 10", "Expected ','"),
        ("a = 1e999", "Line 1, Col 5", "too large"),
        ("a = eval(1)", "Line 1, Col 5", "no function 'eval'"),
        ("a = $CPUPercent.Get(1)", "Line 1, Col 5", "no method 'Get'"),
        ("$ActiveTasks = 1", "Line 1, Col 1", "read-only"),
        ("requeue = 1", "Line 1, Col 1", "read-only"),
    ],
)
def test_mistakes_are_named_with_their_place(text, place, reason):
    with pytest.raises(FormulaError, match=reason) as caught:
        read(text)
    assert str(caught.value).startswith(place)


def test_more_than_8_kb_or_100_statements_are_refused():
    assert len(parse("a=1;" * 100)) == 100
    with pytest.raises(FormulaError, match="100 statements"):
        parse("a=1;" * 101)
    parse("a = 1 //" + "x" * (MAX_LENGTH - 8))
    with pytest.raises(FormulaError) as caught:
        parse("a = 1 //" + "x" * (MAX_LENGTH - 7))
    assert caught.value.code == "AutoScalingFormulaTooLong"
