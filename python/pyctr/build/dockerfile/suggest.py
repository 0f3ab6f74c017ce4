"""The word that was meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is at most two letters (a third of a short one) away, the nearest one; None if there is none."""
    lowered = word.lower()
    limit = min(2, max(1, len(word) // 3))
    ranked = [(_distance(lowered, name.lower()), name) for name in sorted(set(known))]
    near = [(distance, name) for distance, name in ranked if distance <= limit]
    return min(near)[1] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    name = nearest(word, known)
    return f" (did you mean {name}?)" if name and name != word else ""


def _distance(left: str, right: str) -> int:
    """Letters to add, take away, change or swap (Damerau-Levenshtein, adjacent swaps)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for index, letter in enumerate(left):
        following = [index + 1]
        for other, wanted in enumerate(right):
            cost = min(row[other + 1] + 1, following[other] + 1, row[other] + (letter != wanted))
            if index and other and letter == right[other - 1] and left[index - 1] == wanted:
                cost = min(cost, before[other - 1] + 1)
            following.append(cost)
        before, row = row, following
    return row[-1]
