"""The pool's autoscale formula: from zero and back to zero, Spot first, dedicated nodes only while Spot is missing."""

EVALUATION_INTERVAL = "PT5M"  # the shortest that Azure Batch takes

_FORMULA = """\
slots = {slots};
maxSpot = {max_spot};
maxDedicated = {max_dedicated};
recent = 10 * TimeInterval_Minute;
lately = 15 * TimeInterval_Minute;
// Grow at once with the latest sample, shrink with the mean of ten minutes.
latest = max(0, $PendingTasks.GetSample(1));
mean = $PendingTasks.GetSamplePercent(recent) < 70 ? latest : avg($PendingTasks.GetSample(recent));
wanted = max(latest, mean) < 0.5 ? 0 : (max(latest, mean) + slots - 1) / slots;
// Spot is missing when work has waited all of fifteen minutes and its nodes are still not there.
known = $PendingTasks.GetSamplePercent(lately) >= 70;
lasting = known ? (min($PendingTasks.GetSample(lately)) + slots - 1) / slots : 0;
present = sum($CurrentLowPriorityNodes.GetSample(1)) - sum($PreemptedNodeCount.GetSample(1));
missing = latest < 1 ? 0 : max(0, {lasting} - max(0, present));
$TargetLowPriorityNodes = min(maxSpot, wanted);
$TargetDedicatedNodes = min(maxDedicated, missing);
$NodeDeallocationOption = taskcompletion;
"""


def formula(slots: int, max_spot: int, max_dedicated: int) -> str:
    """The formula for nodes with ``slots`` slots each.

    Without Spot (``max_spot`` 0) dedicated nodes are all there is: they follow the load at once.
    """
    lasting = "min(maxSpot, lasting)" if max_spot else "wanted"
    return _FORMULA.format(slots=slots, max_spot=max_spot, max_dedicated=max_dedicated, lasting=lasting)
