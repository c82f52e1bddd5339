"""What a threshold of the detector costs, and how far its scores can be believed, on the held-out pictures.

`valid` and `test` are halves of these (held_out.py), as finds.py's `looked` gives them.
"""
import numpy as np

from finds import CLASSES, by_class, precision_recall
from intervals import wilson
from reliability import calibration, mapped, platt

STEPS = [k / 10 for k in range(2, 9)]
VEHICLES = ("car", "bus", "truck")
FLOOR = 0.1
TRUTHS = dict(teacher=("street", "fight"), human=("cap",))


def at_threshold(parts, counts, threshold):
    """(recall, false boxes a picture)"""
    over = np.concatenate(parts)
    over = over[over[:, 0] >= threshold]
    return float(over[:, 1].sum() / counts.sum()), float((over[:, 1] == 0).sum() / len(parts))


def cost(parts, counts, threshold, resamples=1000):
    """The same with intervals: Wilson's, and by resampling pictures."""
    recall, false = at_threshold(parts, counts, threshold)
    each, rng = np.array([((r[:, 0] >= threshold) & (r[:, 1] == 0)).sum() for r in parts]), np.random.default_rng(0)
    drawn = each[rng.integers(0, len(each), (resamples, len(each)))].mean(1)
    return dict(threshold=threshold, pictures=len(parts), objects=int(counts.sum()), recall=recall,
                recall95=wilson(round(recall * counts.sum()), int(counts.sum())), false_boxes=int(each.sum()),
                false_per_picture=false, false95=[float(v) for v in np.percentile(drawn, [2.5, 97.5])])


def calibrated(classes):
    """{class: threshold} of the best F1, from what `by_class` gives."""
    out = {}
    for name, (parts, counts) in classes.items():
        score, precision, recall = precision_recall(parts, counts.sum())
        steps = np.arange(0.2, 0.36, 0.05)
        at = [(score >= s).sum() - 1 for s in steps]
        f1 = [2 * precision[k] * recall[k] / (precision[k] + recall[k] + 1e-9) if k >= 0 else 0 for k in at]
        out[name] = round(float(steps[int(np.argmax(f1))]), 2)
    return out


def halves(valid, test, shipped):
    """{class: the threshold that the first half would choose, the shipped one, and what that one and STEPS cost on either}"""
    own, other = by_class(valid, 5), by_class(test, 5)
    return {name: dict(chosen=t, shipped=shipped[name],
                       **{half: [cost(*classes[name], s) for s in sorted({shipped[name], *STEPS})]
                          for half, classes in (("validation", own), ("test", other))})
            for name, t in calibrated(own).items() if name in other}


def finds_of(seen, names, least):
    """The finds of several classes together in each picture, each class from its own `least` score on."""
    return [np.concatenate([r[r[:, 0] >= least[n]] for n, (r, _) in s["of"].items() if n in names]) for s in seen]


def reliabilities(seen, shipped):
    """{truth: {what: calibration of the finds from FLOOR on, and of those over the threshold}}"""
    out = {}
    for truth, sources in TRUTHS.items():
        some = [s for s in seen if s["src"] in sources]
        groups = dict(person=("person",), vehicles=VEHICLES) if truth == "teacher" else dict(person=("person",))
        out[truth] = {what: [calibration(finds_of(some, names, least)) for least in (dict.fromkeys(CLASSES, FLOOR), shipped)]
                      for what, names in groups.items()}
    return out


def straightened(valid, test):
    """Platt's two numbers for people from one half, and the calibration of the other before and after; not shipped."""
    parts = lambda seen: finds_of(seen, ("person",), dict(person=FLOOR))
    numbers = platt(np.concatenate(parts(valid)))
    sets = dict(all=test, **{truth: [s for s in test if s["src"] in sources] for truth, sources in TRUTHS.items()})
    return dict(numbers=numbers, finds=sum(map(len, parts(valid))),
                test={name: [calibration(parts(some)), calibration([mapped(r, numbers) for r in parts(some)])]
                      for name, some in sets.items()})
