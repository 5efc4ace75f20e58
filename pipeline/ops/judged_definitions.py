"""Every definition of the referee: its name, how images are averaged, who uses it, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ops import judged_statistics as of
from pipeline.ops.counts import Floats
from pipeline.ops.judged_columns import Sums, shape_scores
from pipeline.ops.judged_statistics import Statistic
from pipeline.ops.other_papers_scores import DEFINITIONS as OF_OTHER_PAPERS

POOLED, MEAN = "pooled", "mean of images"
BEST, OWN, ALL = "best", "each image's best", "all"
FIXED, ODS = "fixed", "best ODS"  # the two places where a probability is cut for what needs yes or no
SUFFIXES = {FIXED: "_at_fixed", ODS: "_at_best"}  # of the names of such scores, as columns of a table
KONIG, SEGMENTOR = "König 2021, Hairline", "SCNet, DeepSegmentor"
SEGAMBA, OPEN = "SCSegamba, MixerCSeg, SCRWKV", "OpenCrack"


@dataclass(frozen=True)
class Definition:
    """`statistic` gives a value for each draw, or one for each threshold, of which the best counts."""

    name: str
    average: str
    cut: str
    used_by: str
    text: str
    statistic: Statistic


CURVES = (  # what looks at many thresholds
    Definition(
        "ods",
        MEAN,
        BEST,
        KONIG,
        "Mean over images of F1, best t of 0.01 … 0.99; an empty mask: as [Scores] empty says.",
        of.mean_f1(1),
    ),
    Definition(
        "ois", MEAN, OWN, KONIG, "Mean over images of the best F1 over t = 0.01 … 0.99.", of.mean_best_f1("best_f1")
    ),
    Definition(
        "ap",
        POOLED,
        ALL,
        KONIG,
        "Σ (R_t − R_{t+0.01})·P_t over t = 0.01 … 0.99 with R_{1.00} = 0, counts of all images together.",
        of.average_precision,
    ),
    Definition(
        "ap_mean_of_images",
        MEAN,
        ALL,
        "Hairline",
        "The same sum of each image's own counts, then the mean.",
        of.mean_average_precision,
    ),
    Definition(
        "ods_pooled",
        POOLED,
        BEST,
        "CAC; DeepCrack 2018 and BSDS with a tolerance",
        "F1 of the counts of all images together, best t of 0.01 … 0.99.",
        of.pooled_f1,
    ),
    Definition(
        "ois_pooled",
        POOLED,
        OWN,
        "DeepCrack 2018 and BSDS with a tolerance",
        "Counts of each image at its own best t of 0.01 … 0.99, added up, then F1.",
        of.pooled_best_f1,
    ),
    Definition(
        "ods_from_zero",
        MEAN,
        BEST,
        SEGAMBA,
        "As ods, with t = 0.00 as well: above 0 is crack. Those authors save raw outputs "
        "over each image's maximum, at 512×512.",
        of.mean_f1(0),
    ),
    Definition(
        "ois_from_zero", MEAN, OWN, SEGAMBA, "As ois, with t = 0.00 as well.", of.mean_best_f1("best_f1_from_zero")
    ),
    Definition(
        "miou_of_images",
        MEAN,
        BEST,
        SEGAMBA,
        "Mean of crack IoU and background IoU of each image, then of the images, best t of "
        "0.00 … 0.99; 0 where neither mask nor prediction has a crack pixel. (Both all "
        "crack: background 1; no number in their script.) Their predictions: see ods_from_zero.",
        of.mean_of("miou"),
    ),
    Definition("pixel_f1", POOLED, BEST, SEGMENTOR, OF_OTHER_PAPERS["pixel_f1"], of.pixel_f1),
    Definition("auprc", POOLED, ALL, "SCNet", OF_OTHER_PAPERS["auprc"], of.area_in_steps),
    Definition("auprc_trapezoid", POOLED, ALL, "SCNet", OF_OTHER_PAPERS["auprc_trapezoid"], of.area_in_trapezoids),
    Definition("region_f1", POOLED, BEST, "SCNet", OF_OTHER_PAPERS["region_f1"], of.region_f1),
    Definition("macro_f1", MEAN, BEST, "the script of König 2021", OF_OTHER_PAPERS["macro_f1"], of.macro_f1),
    Definition("aiu", MEAN, ALL, "FPHBN, CSSR", OF_OTHER_PAPERS["aiu"], of.mean_iou_over_thresholds),
)


_AT_A_THRESHOLD: tuple[tuple[str, str, str, str, Statistic], ...] = (
    (
        "precision",
        POOLED,
        "many",
        "TP/(TP + FP), counts of all images together; 0 where nothing is predicted.",
        of.pooled_precision,
    ),
    ("recall", POOLED, "many", "TP/(TP + FN), counts of all images together.", of.pooled_recall),
    (
        "f1",
        POOLED,
        "many; SCSegamba, MixerCSeg at a raw output of 0",
        "2TP/(2TP + FP + FN), counts of all images together; no value if no mask has a crack.",
        of.pixel_f1,
    ),
    (
        "iou_pooled",
        POOLED,
        "mmseg",
        "TP/(TP + FP + FN), counts of all images together.",
        of.pooled_iou,
    ),
    (
        "iou",
        MEAN,
        f"{OPEN}, khanhha",
        "Crack IoU of each image, then the mean; 1 if mask and prediction are both empty.",
        of.mean_of("iou"),
    ),
    (
        "dice",
        MEAN,
        f"{OPEN}, khanhha",
        "F1 of each image, then the mean; 1 if mask and prediction are both empty.",
        of.mean_of("dice"),
    ),
    (
        "miou",
        POOLED,
        "mmseg, DeepSegmentor",
        "Mean of crack IoU and background IoU, counts of all images together; a class that is nowhere is left out.",
        of.pooled_two_classes,
    ),
    ("accuracy", POOLED, "DeepSegmentor", OF_OTHER_PAPERS["accuracy"].replace("the fixed", "the"), of.accuracy),
    (
        "class_accuracy",
        POOLED,
        "DeepSegmentor",
        OF_OTHER_PAPERS["class_accuracy"].replace("the fixed", "the"),
        of.class_accuracy,
    ),
    (
        "false_photos",
        MEAN,
        OPEN,
        "Of the photos without a crack in the mask: the share with a predicted pixel.",
        of.alarmed,
    ),
    (
        "false_pixels",
        POOLED,
        OPEN,
        "Of the photos without a crack in the mask: the share of their pixels that are predicted.",
        of.alarmed_pixels,
    ),
)


def of_pixels(place: str, threshold: int) -> list[Definition]:
    """What counts pixels at one of the 100 thresholds."""
    return [
        Definition(name, average, place, by, text, of.at(count, threshold))
        for name, average, by, text, count in _AT_A_THRESHOLD
    ]


LINES = {
    "cliou": (
        OPEN,
        "OmniCrack30k, for each source set",
        "Centreline pixels of the mask with a predicted one within cliou_px, over all of the "
        "mask and the predicted ones without; both are thinned by Guo and Hall's way.",
    ),
    "nsd": (
        OPEN,
        "",
        "Of both outlines together, the share within nsd_px of the other, as the surface "
        "Dice of surface-distance measures; OpenCrack does not publish its tolerance.",
    ),
    "boundary_f1": (
        OPEN,
        "",
        "F1 of the outermost crack pixels within boundary_px of the other's; OpenCrack does not publish its tolerance.",
    ),
    "cldice": (
        "clDice 2021",
        "",
        "Harmonic mean of the share of the predicted skeleton in the mask and of the mask's "
        "in the prediction. A thick prediction gains.",
    ),
    "boundary_iou": (
        "Cheng 2021",
        "",
        "IoU of the crack pixels within boundary_share of the diagonal from the outside; a "
        "crack thinner than that counts as a whole.",
    ),
    "correctness": (
        "the script of JTFN",
        "",
        "Skeleton pixels in both over the predicted ones, to the pixel; 0/0 is 0.",
    ),
    "completeness": (
        "the script of JTFN",
        "",
        "Skeleton pixels in both over those of the mask, to the pixel; 0/0 is 0.",
    ),
    "quality": ("the script of JTFN", "", "Skeleton pixels in both over those in either, to the pixel; 0/0 is 0."),
    "correctness_buffer": (
        "",
        "Wiedemann 1998",
        "Of the predicted skeleton, the share within buffer_px of the mask's.",
    ),
    "completeness_buffer": (
        "",
        "Wiedemann 1998",
        "Of the mask's skeleton, the share within buffer_px of the predicted one.",
    ),
    "quality_buffer": ("", "Wiedemann 1998", "cm·cr/(cm + cr − cm·cr) of correctness_buffer and completeness_buffer."),
}
LENGTHS = {
    "length_error": (
        "",
        "surveys",
        "How many more or fewer centreline pixels are predicted in each image, added up, "
        "over the mask's; no value without any.",
    ),
    "length_ratio": ("", "surveys", "Predicted centreline pixels over the mask's, of all images."),
}
TOLERANT = {
    "precision": "Of the predicted pixels, the share within {} px of the mask.",
    "recall": "Of the mask's pixels, the share within {} px of the prediction.",
    "f1": "Harmonic mean of precision and recall within {} px.",
}
_EMPTY = " 1 if mask and prediction are both empty."


def of_shapes(place: str, tolerances: Sequence[int]) -> list[Definition]:
    """What compares lines and edges; the mean over images and, as `…_pooled`, of the counts of all together."""
    texts = {**LINES}
    for reach in tolerances:
        texts |= {f"{name}_{reach}px": ("CrackForest", "", text.format(reach)) for name, text in TOLERANT.items()}
    means = [
        Definition(name, MEAN, place, by, text + ("" if "0/0" in text else _EMPTY), of.mean_of(f"{place}:mean {name}"))
        for name, (by, _, text) in texts.items()
    ]
    every = {**texts, **LENGTHS}
    pooled = [
        Definition(_pooled_name(name), POOLED, place, by, text, _Pooled(place, name, tuple(tolerances)))
        for name, (_, by, text) in every.items()
    ]
    return means + pooled


def _pooled_name(name: str) -> str:
    return name if name in LENGTHS else f"{name}_pooled"


@dataclass(frozen=True)
class _Pooled:
    """A score of the shape counts of all images together."""

    place: str
    name: str
    tolerances: tuple[int, ...]

    def __call__(self, sums: Sums) -> Floats:
        start = f"{self.place}:"
        counts = {name.removeprefix(start): column for name, column in sums.items() if name.startswith(start)}
        return shape_scores(counts, self.tolerances, of_images=False)[self.name]
