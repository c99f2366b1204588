"""Which of many to take, so that a few stand for all."""


def spread(total: int, wanted: int) -> list[int]:
    """``wanted`` indexes, evenly over ``total``, none twice; all of them where there are no more."""
    count = min(total, wanted)
    return [(2 * number + 1) * total // (2 * count) for number in range(count)]
