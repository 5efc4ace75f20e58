"""Which prediction belongs to which mask, by their names alone; touches no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_OF_MASKS = ("lab", "label", "labels", "mask", "masks", "gt", "groundtruth", "ground_truth", "annotation", "real_b")
_OF_PREDICTIONS = ("pre", "pred", "preds", "prediction", "prob", "probs", "probability", "output", "out", "fake_b")
RULES = (
    "the same name in the same subfolder, then the same name anywhere, then the same name without "
    f"{', '.join(f'_{word}' for word in (*_OF_MASKS, *_OF_PREDICTIONS))} at its end or beginning"
)


def _affix(words: Sequence[str]) -> re.Pattern[str]:
    either = "|".join(sorted(words, key=len, reverse=True))
    return re.compile(rf"^(?:{either})[_-]|[_-](?:{either})$", re.IGNORECASE)


_MASK, _PREDICTION, _EITHER = _affix(_OF_MASKS), _affix(_OF_PREDICTIONS), _affix((*_OF_MASKS, *_OF_PREDICTIONS))


@dataclass
class Pairs:
    """By mask and by prediction, in the order of the masks; `doubts` says in sentences what could be several ways."""

    found: dict[str, str] = field(default_factory=dict)
    lonely_masks: list[str] = field(default_factory=list)
    lonely_predictions: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def paired(masks: Mapping[str, Sequence[str]], predictions: Sequence[str]) -> Pairs:
    """`masks`: each with the names that it goes by; predictions: paths in their folder."""
    pairs = Pairs()
    found: dict[str, str] = {}
    for level in (_whole, _stem, _bare):
        waiting = _by_key({mask: names for mask, names in masks.items() if mask not in found}, level)
        taken = set(found.values())
        asking = _by_key({name: [name] for name in predictions if name not in taken}, level)
        for key in sorted(waiting.keys() & asking.keys()):
            if len(waiting[key]) == len(asking[key]) == 1:
                found[waiting[key][0]] = asking[key][0]
            else:
                both = f"{_some(asking[key])} and the masks {_some(waiting[key])}"
                pairs.doubts.append(f"predictions {both} share the name {key!r}; keep one of each, or rename them")
    pairs.found = {mask: found[mask] for mask in masks if mask in found}
    pairs.lonely_masks = [mask for mask in masks if mask not in found]
    pairs.lonely_predictions = [name for name in predictions if name not in set(found.values())]
    pairs.doubts += _rivals(masks, pairs) + _aliases(masks, pairs)
    return pairs


def told_apart(paths: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Predictions, masks and others of one folder that holds both, by the words at the ends of their names."""
    kinds: tuple[list[str], list[str], list[str]] = ([], [], [])
    for path in paths:
        stem = PurePosixPath(path).stem
        kinds[0 if _PREDICTION.search(stem) else 1 if _MASK.search(stem) else 2].append(path)
    return kinds


def _by_key(named: Mapping[str, Sequence[str]], level: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for thing, names in named.items():
        for key in dict.fromkeys(level(name) for name in names):
            found.setdefault(key, []).append(thing)
    return found


def _whole(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _bare(path: str) -> str:
    """The stem without one word at its beginning and one at its end."""
    stem = _stem(path)
    for _ in range(2):
        stem = _EITHER.sub("", stem, count=1) or stem
    return stem


def _rivals(masks: Mapping[str, Sequence[str]], pairs: Pairs) -> list[str]:
    """Masks left over although one with the same bare name was taken: perhaps a photo lies among the masks. Those of
    one name in two folders are none, where the prediction lies in the one folder."""
    return [
        f"{taken} and {mask} may both be the mask of {prediction}; keep masks only in the folder of masks"
        for taken, prediction, mask in _twins(pairs.lonely_masks, masks, pairs, _bare)
        if _stem(taken) != _stem(mask) or _whole(taken) != _whole(prediction)
    ][:1]


def _aliases(masks: Mapping[str, Sequence[str]], pairs: Pairs) -> list[str]:
    """Predictions left over that are called by another name of a mask whose prediction was found."""
    return [
        f"{prediction} and {name} may both be the prediction of {taken}; keep one of them"
        for taken, prediction, name in _twins(pairs.lonely_predictions, masks, pairs, _whole)
    ][:1]


def _twins(
    left: Sequence[str], masks: Mapping[str, Sequence[str]], pairs: Pairs, level: Callable[[str], str]
) -> list[tuple[str, str, str]]:
    """A mask, its prediction, and what was left over although it is called as the mask is."""
    taken = {level(name): mask for mask in pairs.found for name in masks[mask]}
    found = [(taken[level(each)], each) for each in left if level(each) in taken]
    return [(mask, pairs.found[mask], each) for mask, each in found]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
