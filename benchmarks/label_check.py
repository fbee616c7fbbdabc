"""How many of the wrong left/right labels of the honeybee set the label check finds, and how soon.

    python benchmarks/label_check.py --data ../shared/data [--rows 150] [--predictions FILE]

Truth. By geometry alone, the right antenna lies on the left of the axis from the thorax to the head in
137 of the 1431 bees with both antennae and both ends of the axis (9.6 %). Crops of all 137 were looked
at, and of 134 bees whose antennae are on the usual side (all 54 that come through the entrance slit with
their head up, and 80 drawn at random). What decides is from where the bee is seen:

* from above (thorax fur, wings and eyes on top): the label is wrong; `SWAPPED`, 35 bees,
* from below (legs begin at the thorax, mouthparts and pale belly are seen; bees that walk on the glass): the right antenna
  of such a bee *is* on the other side of the picture, the label is right; 86 bees,
* head and tail are exchanged, or it cannot be seen; `OTHER` and `UNCLEAR`, 16 bees.

Of the 134 others, 8 are seen from below and labelled as if from above: `BELOW`. Their labels are as
wrong as those of `SWAPPED`, but no position shows it. Bees are numbered in the order of the labels file.

`--predictions` takes poses of models that did not see the labels (``semimultipose check --save-predictions``).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from napari_semimultipose.api import read_poses
from napari_semimultipose.labeling.label_check import check_labels
from napari_semimultipose.labeling.problems import Kind

# fmt: off
SWAPPED = {
    34, 38, 59, 91, 144, 146, 187, 272, 376, 410, 411, 422, 423, 439, 464, 483, 622, 736, 740, 744, 789,
    791, 855, 928, 929, 1086, 1108, 1120, 1145, 1294, 1544, 1549, 1556, 1564, 1577,
}
BELOW = {6, 7, 114, 181, 1263, 1319, 1329, 1468}
OTHER = {333, 946}
UNCLEAR = {93, 149, 215, 597, 639, 756, 807, 1043, 1133, 1446, 1454, 1484, 1486, 1509}
# fmt: on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    labels = read_poses(given.data / "honeybee" / "annotations_labeled.json")
    row, slot = np.nonzero(labels.present)
    number = {place: i for i, place in enumerate(zip(row.tolist(), slot.tolist(), strict=True))}
    xy = labels.xy[row, slot]
    where = {name: k for k, name in enumerate(labels.skeleton.keypoints)}
    axis = xy[:, where["Head"]] - xy[:, where["Thorax"]]
    across = xy[:, where["Rant"]] - xy[:, where["Lant"]]
    flipped = set(
        np.flatnonzero(axis[:, 0] * across[:, 1] - axis[:, 1] * across[:, 0] < 0).tolist()
    )
    start = time.perf_counter()
    predictions = None if given.predictions is None else read_poses(given.predictions)
    found = check_labels(labels, predictions)
    seconds = time.perf_counter() - start
    first = found[: given.rows]
    sides = [number[p.row, p.slots[0]] for p in first if p.kind is Kind.SIDES]
    scores = {"rows": len(first), "listed": len(found), "seconds": round(seconds, 2)}
    scores |= {f"{kind.value} rows": sum(p.kind is kind for p in first) for kind in Kind}
    for name, truth in (
        ("on the other side of the axis", flipped),
        ("seen from above and swapped", SWAPPED),
        ("swapped, from above or from below", SWAPPED | BELOW),
    ):
        hits = len(truth.intersection(sides))
        scores[name] = {
            "labels": len(truth),
            "found": hits,
            "recall": round(hits / len(truth), 3),
            "precision of the left/right rows": round(hits / max(len(sides), 1), 3),
            "precision of all rows": round(hits / max(len(first), 1), 3),
        }
    for key, value in scores.items():
        print(f"{key}: {value}")
    ranks = [i for i, p in enumerate(found) if p.kind is Kind.SIDES
             and number[p.row, p.slots[0]] in SWAPPED]  # fmt: skip
    print("rows of the swapped ones:", [i + 1 for i in ranks])
    if given.json is not None:
        given.json.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
