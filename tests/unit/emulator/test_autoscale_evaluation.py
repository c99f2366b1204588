"""The evaluator against cases that were worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_emulator.autoscale.evaluator import Outcome, Surroundings, Targets, evaluate, read
from batch_emulator.autoscale.samples import KEPT, METRICS, PERIOD, History, Sample
from batch_emulator.durations import timestamp_ticks

NOW = timestamp_ticks("2026-02-01T13:45:30Z")  # a Sunday


def history(pending=(), nodes=2.0):
    """Samples of $PendingTasks (None: no sample), the last one now, and of the nodes."""
    found = History()
    for place, value in enumerate(pending):
        known = {"$PendingTasks": value, "$CurrentDedicatedNodes": nodes}
        ticks = NOW - (len(pending) - 1 - place) * PERIOD
        if value is not None:
            found.add(Sample(ticks, tuple(known.get(name) for name in METRICS)))
    return found


def run(formula: str, pending=(), targets=Targets(3, 1)) -> Outcome:  # noqa: B008 - frozen
    return evaluate(read(formula), Surroundings(NOW, targets, history(pending), 4, lambda: 0.25))


def value(expression: str, pending=()) -> str:
    """What `results` shows for an expression."""
    outcome = run(f"x = {expression}", pending)
    assert outcome.error is None, outcome.error
    return outcome.results.split(";")[3].removeprefix("x=")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3 - 4 / 8", "6.5"),
        ("-(2) * -3", "6"),
        ("!0 + !5", "1"),
        ("7 / 0", "inf"),
        ("[1, 2, 3] * 2 + [1, 1, 1]", "[3,5,7]"),
        ("[[1, 2], 3]", "[1,2,3]"),
        ("1 < 2 && 2 <= 2 && 3 != 4", "1"),
        ("0 || 0", "0"),
        ("0 && undefined", "0"),
        ("1 || undefined", "1"),
        ("2 ? 5 : undefined", "5"),
        ('"a" < "b"', "1"),
        ("TimeInterval_Hour / 2 + 90 * TimeInterval_Second", "00:31:30"),
        ("TimeInterval_Week + TimeInterval_100ns", "7.00:00:00.0000001"),
        ("-TimeInterval_Minute", "-00:01:00"),
        ("TimeInterval_Zero < TimeInterval_Microsecond", "1"),
        ("TimeInterval_Day == 24 * TimeInterval_Hour", "1"),
        ("time()", "2026-02-01T13:45:30Z"),
        ("time() + TimeInterval_Minute", "2026-02-01T13:46:30Z"),
        ("TimeInterval_Minute + time()", "2026-02-01T13:46:30Z"),
        ('time() - time("2026-02-01")', "13:45:30"),
        ('time("2026-02-01T12:00Z") < time()', "1"),
        ('time("Sun, 01 Feb 2026 13:45:30 GMT") == time()', "1"),
        ('time("2026").month', "1"),
        ("time().weekday", "0"),
        ("time().hour * 100 + time().minute", "1345"),
        ("$TaskSlotsPerNode", "4"),
        ("$TargetDedicatedNodes + $TargetLowPriority", "4"),
        ("taskcompletion", "taskcompletion"),
    ],
)
def test_operators(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("avg(1, [2, 6])", "3"),
        ("len(1, [2, 3], [])", "3"),
        ("lg(8)", "3"),
        ("lg([2, 4])", "[1,2]"),
        ("ln(1)", "0"),
        ("log(1000)", "3"),
        ("log(vec(100))", "[2]"),
        ("log(0)", "-inf"),
        ("max(3, [7, 1])", "7"),
        ("min([3], 2)", "2"),
        ("norm(3, 4)", "5"),
        ("percentile([4, 1, 3, 2], 50)", "2.5"),
        ("percentile([1, 2, 3], 100)", "3"),
        ("rand()", "0.25"),
        ("range(4, 9, 6)", "5"),
        ("round(2.5) + round(-2.5)", "0"),
        ("round(2.4)", "2"),
        ("round([0.5, 1.4])", "[1,1]"),
        ("std(2, 4, 4, 4, 5, 5, 7, 9)", "2.138089935299395"),
        ("std(3)", "0"),
        ("sum([1, 2], 3)", "6"),
        ("sum()", "0"),
        ("val([5, 6, 7], 2)", "7"),
    ],
)
def test_functions(expression, expected):
    assert value(expression) == expected


SIX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$PendingTasks.GetSample(2)", "[5,6]"),
        ("$PendingTasks.GetSample(99)", "[1,2,3,4,5,6]"),
        ("$PendingTasks.GetSample(TimeInterval_Minute)", "[5,6]"),
        ("$PendingTasks.GetSample(TimeInterval_Minute * 1, TimeInterval_Minute * 2)", "[3,4]"),
        ("$PendingTasks.GetSample(TimeInterval_Minute * 2, TimeInterval_Minute * 1)", "[3,4]"),
        ("$PendingTasks.GetSample(time() - TimeInterval_Minute, 100)", "[5,6]"),
        ("$PendingTasks.GetSample(TimeInterval_Minute, time(), 100)", "[5,6]"),
        ("$PendingTasks.GetSamplePercent(TimeInterval_Minute * 3)", "100"),
        ("$PendingTasks.GetSamplePercent(TimeInterval_Minute * 6)", "50"),
        ("$PendingTasks.GetSamplePercent(TimeInterval_Zero, TimeInterval_Minute * 4)", "75"),
        ("$PendingTasks.GetSamplePeriod()", "00:00:30"),
        ("$PendingTasks.Count()", "6"),
        ("$PendingTasks.HistoryBeginTime()", "2026-02-01T13:43:00Z"),
        ("$MemoryBytes.GetSamplePercent(TimeInterval_Hour)", "0"),
        ("$MemoryBytes.GetSample(1)", "[]"),
        ("max(0, $MemoryBytes.GetSample(1))", "0"),
        ("$PendingTasks / 2", "3"),
        ("$CurrentDedicated * 1.5", "3"),
    ],
)
def test_samples(expression, expected):
    assert value(expression, SIX) == expected


@pytest.mark.parametrize(
    ("formula", "code", "message"),
    [
        ("$something_useless", "AutoScalingFormulaEvaluationError", "Line 1, Col 1: The variable '$something_useless'"),
        ("a = 1;\nb = a + requeue", "AutoScalingFormulaEvaluationError", "Line 2, Col 7: Operator '+' cannot be used"),
        ("x = 2 * [1]", "AutoScalingFormulaEvaluationError", "double and doubleVec"),
        ("x = [1] + [1, 2]", "AutoScalingFormulaEvaluationError", "1 and 2 values"),
        ("x = avg([])", "AutoScalingFormulaEvaluationError", "at least one value"),
        ("x = val([1], 1)", "AutoScalingFormulaEvaluationError", "no element 1"),
        ("x = avg(time())", "AutoScalingFormulaEvaluationError", "found timestamp"),
        ("x = time().year.month", "AutoScalingFormulaEvaluationError", "double has no member 'month'"),
        ('x = time("noon")', "AutoScalingFormulaEvaluationError", "'noon' is not a time"),
        ("x = time() + TimeInterval_Year * 9000", "AutoScalingFormulaEvaluationError", "years 1 and 9999"),
        ("x = [1] ? 1 : 2", "AutoScalingFormulaEvaluationError", "Expected a condition"),
        ("x = $PendingTasks.GetSample()", "AutoScalingFormulaEvaluationError", "GetSample takes"),
        ("x = $PendingTasks.GetSample(0.5)", "AutoScalingFormulaEvaluationError", "positive number"),
        ("$TargetDedicatedNodes = -1", "AutoScalingFormulaEvaluationError", "number of nodes, found -1"),
        ("$TargetDedicatedNodes = [1]", "AutoScalingFormulaEvaluationError", "number of nodes"),
        ("$TargetLowPriority = 1 / 0", "AutoScalingFormulaEvaluationError", "found inf"),
        ("$NodeDeallocationOption = 3", "AutoScalingFormulaEvaluationError", "must be one of requeue"),
        (
            "$TargetDedicatedNodes = $PendingTasks.GetSample(TimeInterval_Minute * 5, 70)",
            "InsufficientSampleData",
            "Line 1, Col 25: Insufficient data from data set: $PendingTasks wanted 70%, received 60%",
        ),
        ("$TargetDedicatedNodes = $MemoryBytes", "InsufficientSampleData", "$MemoryBytes has no sample"),
    ],
)
def test_failures_leave_the_targets_and_say_where(formula, code, message):
    outcome = run(formula, SIX)
    assert outcome.error is not None
    assert outcome.error.code == code
    assert message in str(outcome.error)
    assert outcome.targets == Targets(3, 1)
    start = "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=1;$NodeDeallocationOption=requeue"
    assert outcome.results.startswith(start)


def test_results_name_the_services_variables_first_and_then_the_own():
    outcome = run("a = 1; $b = [a, 2]; $TargetDedicatedNodes = 4.9; $NodeDeallocationOption = taskcompletion")
    assert outcome.targets == Targets(4, 1, "taskcompletion")
    assert outcome.results == (
        "$TargetDedicatedNodes=4;$TargetLowPriorityNodes=1;$NodeDeallocationOption=taskcompletion;a=1;$b=[1,2]"
    )


def test_a_full_name_counts_before_its_alias():
    assert run("$TargetDedicatedNodes = 2; $TargetDedicated = 9").targets.dedicated == 2
    assert run("$TargetDedicated = 9").targets.dedicated == 9


def test_stop_keeps_what_was_assigned_before():
    assert run("$TargetDedicatedNodes = 7; stop(); $TargetDedicatedNodes = 9").targets == Targets(7, 1)


def test_what_may_be_nested_can_be_worked_out():
    assert value("min(" * 38 + "7" + ")" * 38) == "7"
    assert value("1" + " - 1" * 2000) == "-1999"


def test_only_a_day_of_samples_is_kept():
    found = History()
    for place in range(KEPT + 5):
        found.add(Sample(place * PERIOD, tuple(float(place) for _ in METRICS)))
    assert len(found.samples) == KEPT == 2880
    assert found.all("$PendingTasks")[0] == (5 * PERIOD, 5.0)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
ATOMS = [
    "0",
    "2.5",
    "[1,2]",
    "[]",
    '"t"',
    "time()",
    "TimeInterval_Hour",
    "$PendingTasks",
    "requeue",
    "nope",
    "$MemoryBytes",
]
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "<", "==", "&&", "||"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(st.sampled_from("-!"), inner).map(lambda parts: f"({parts[0]}{parts[1]})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.tuples(
            st.sampled_from(["avg", "len", "lg", "min", "norm", "percentile", "round", "std", "sum", "time", "val"]),
            st.lists(inner, max_size=3),
        ).map(lambda parts: f"{parts[0]}({', '.join(parts[1])})"),
        st.tuples(st.sampled_from(["GetSample", "GetSamplePercent", "Count"]), st.lists(inner, max_size=3)).map(
            lambda parts: f"$PendingTasks.{parts[0]}({', '.join(parts[1])})"
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_any_formula_ends_with_targets_or_with_an_error_of_the_service(expression):
    outcome = run(f"$TargetDedicatedNodes = {expression}", SIX)
    assert outcome.targets.dedicated >= 0
    code = outcome.error and outcome.error.code
    assert code in (None, "AutoScalingFormulaEvaluationError", "InsufficientSampleData")


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_arithmetic_is_that_of_doubles(left, right):
    shown = run(f"x = ({left!r} - {right!r}) * 2").results.split("x=")[1]
    assert float(shown) == (left - right) * 2
