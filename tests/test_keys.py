"""Keys: changing one knob renames exactly its stage and what lies below it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from luigi.task_register import Register

import tasks
from pipeline import knobs
from tasks import Diagnosis, Segmenter, Tables, TuneLabels
from tasks.core.parameters import given
from tasks.core.settings import Experiment
from tasks.core.stage import Stage
from tasks.core.walk import walk
from tests.conftest import resolved

# no key depends on where the data lie or on how they are computed
NOT_IN_KEYS = {
    ("Dataset", "root"),
    ("Dataset", "parts"),  # the keys of the parts count, where data sets are combined
    *(("Fetch", name) for name in knobs.fields(knobs.FetchKnobs)),
    *(("Efficiency", name) for name in knobs.fields(knobs.EfficiencyKnobs)),
    *(("LabelTables", name) for name in knobs.fields(knobs.LabelTablesKnobs)),
    *(("CrossTable", name) for name in knobs.fields(knobs.CrossTableKnobs)),
    *(("Judge", name) for name in knobs.fields(knobs.JudgeKnobs)),
    *(("Ablations", name) for name in knobs.fields(knobs.AblationsKnobs)),
    *(("EffortCurve", name) for name in knobs.fields(knobs.EffortCurveKnobs)),
    *(("Starter", name) for name in knobs.fields(knobs.StarterKnobs)),
    *(("Execution", name) for name in knobs.fields(knobs.ExecutionKnobs)),
    *(("Gc", name) for name in knobs.fields(knobs.GcKnobs)),
}
# only together with another knob: tested below
NOT_ALONE = {
    ("Tables", "scored"),
    ("Tables", "seeds"),  # in test_seeds
    ("Patches", "answers_seed"),  # in test_effort
    ("Segmenter", "training"),
    ("Segmenter", "start"),
    ("Generated", "drawn"),
    ("Generated", "grounds"),
    ("Segmenter", "own"),
    *(("Segmenter", name) for name in ("by_labels", "pool", "pool_px", "bag_weight", "rehearsal")),  # in test_answers
    *((section, "flips") for section in ("MergeWeights", "RoundLabels")),  # in test_merged_labels
    *(("Refinements", name) for name in knobs.fields(knobs.RefinementsKnobs)),
    *(("EdgeMaps", name) for name in knobs.fields(knobs.EdgeMapsKnobs)),
    *(("Trees", name) for name in knobs.fields(knobs.TreesKnobs)),  # in test_trees
}
KNOBS = [
    (section, name)
    for section, schema in knobs.SECTIONS.items()
    for name in knobs.fields(schema)
    if (section, name) not in NOT_ALONE
]
OTHER_LISTS = {
    "classifiers": ["resnet50"],
    "segmenters": ["unet", "unet"],
    "labels": ["full", "pseudo"],
    "datasets": ["self"],
    "test_sets": ["self", "tiny"],
    "semi": ["unet"],
    "also_train_on": ["demo"],
    "parts": ["another"],
    "variants": ["two_classes"],
    "merge_rules": ["mean"],
    "sources": ["starter"],
    "scales": [2.0],
    "slurm": {"partition": "another"},
    "slurm_networks": {"gres": "gpu:1"},
    "exclude": ["a"],
    "val_names": ["b"],
    "test_names": ["c"],
}

OTHER_TEXTS = {"teacher": "local_evidence", "url": "https://127.0.0.1/another.zip", "sha256": "0" * 64}


def other(annotation: Any, name: str, value: Any) -> Any:
    """An allowed value that differs from `value`."""
    if name in OTHER_LISTS:
        return OTHER_LISTS[name]
    if isinstance(value, list) and not isinstance(value[0], str):
        return value[1:] or [value[0] + 1]
    if name == "options":
        return {**value, "unet": {**value["unet"], "width": value["unet"]["width"] + 1}}
    if name == "sides":
        return {**value, "unet": {"weights": [0.5]}}
    if name in ("loss", "side_loss"):
        return "dice"
    if (name, value) == ("tile_px", 1024):
        return 512
    if name == "overlap_px":
        return value - 32
    if name == "layout":
        return value  # another layout needs other data; its place in the key is tested below
    if name in OTHER_TEXTS:
        return OTHER_TEXTS[name]
    if name == "weights":
        return "imagenet" if value != "imagenet" else "none"
    if get_origin(annotation) is Literal:
        return next((option for option in get_args(annotation) if option != value), "another")
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    bounds = get_args(annotation)[1]
    if name == "fixed_threshold":
        return value - 0.01
    if name == "stride_px":
        return value // 2  # still a divisor of the window
    if name == "window_px":
        return value * 4  # a multiple of the stride, and no window that TuneLabels tries
    if name == "tile_px":
        return value + 32
    step = (2 if bounds.odd else 1) if isinstance(value, int) else 1e-3
    return value + step if value + step in bounds else value - step


def graph(**overrides: str) -> dict[tuple[str, ...], Stage]:
    """Every stage of the tiny experiment, by what it is rather than by key."""
    Register.clear_instance_cache()
    labels = [root(dataset="tiny", arch="resnet18", **overrides) for root in (Diagnosis, TuneLabels)]
    generated = Segmenter(dataset="tiny", segmenter="unet", labels="generated", **overrides)
    round2 = Segmenter(dataset="tiny", segmenter="unet", labels="round2", **overrides)
    roots: list[Stage] = [Tables(dataset="tiny", **overrides), generated, round2, *labels]
    return {(stage.stage(), *role(stage)): stage for root in roots for stage in walk(root)}


def role(stage: Stage) -> tuple[str, ...]:
    names = ("dataset", "arch", "split", "segmenter", "labels", "target", "images_of", "added")
    named = {name: getattr(stage, name) for name in names if isinstance(getattr(stage, name, None), str)}
    return tuple(f"{name}={value}" for name, value in {**named, **given(stage, stage.schema)}.items())


def below(stages: dict[tuple[str, ...], Stage], section: str) -> set[tuple[str, ...]]:
    """The stages of that section, and all that rest on them."""
    return {name for name, stage in stages.items() if any(part.stage() == section for part in walk(stage))}


@pytest.mark.parametrize(("section", "name"), KNOBS, ids=[".".join(knob) for knob in KNOBS])
def test_changing_a_knob_changes_the_keys_of_exactly_its_stage_and_all_below(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, section: str, name: str
) -> None:
    before = graph()
    keys = {role: stage.key for role, stage in before.items()}
    expected = set() if (section, name) in NOT_IN_KEYS or name == "layout" else below(before, section)
    old = getattr(resolved(section, "tiny"), name)
    new = other(knobs.fields(knobs.SECTIONS[section])[name], name, old)
    with_other_value(monkeypatch, section, name, new)
    after = {role: stage.key for role, stage in graph().items()}
    common = keys.keys() & after.keys()
    changed = {role for role in common if keys[role] != after[role]}
    assert changed == expected & common
    assert expected == set() or changed, "the knob had no effect at all"


def with_other_value(monkeypatch: pytest.MonkeyPatch, section: str, name: str, value: Any) -> None:
    """As if the settings file said so."""
    real = Experiment.resolve

    def changed(experiment: Experiment, schema: Any, given: Any = None) -> Any:
        found = real(experiment, schema, given)
        return dataclasses.replace(found, **{name: value}) if knobs.section_of(schema) == section else found

    monkeypatch.setattr(Experiment, "resolve", changed)


def test_whether_there_are_masks_to_score_against_changes_the_tables_alone(tiny: Path) -> None:
    scored = Tables(dataset="tiny", labels="pseudo", scored="true")
    unscored = Tables(dataset="tiny", labels="pseudo", scored="false")
    assert scored.key != unscored.key
    made = {stage.stage(): stage.key for stage in walk(scored)}
    assert all(stage.key == made[stage.stage()] for stage in walk(unscored) if stage.stage() != "Tables")


def test_own_trainings_count_only_when_they_are_asked_for_and_only_for_their_segmenter(tiny: Path) -> None:
    from tasks import Segmenter

    def key(**changed: str) -> str:
        Register.clear_instance_cache()
        return Segmenter(dataset="tiny", segmenter="unet", labels="full", **changed).key

    own, other_own = '{"unet": {"momentum": 0.3}}', '{"oed": {"momentum": 0.3}, "unet": {}}'
    assert key(own=own) == key() == key(training="own", own=other_own)
    assert key(training="own", own=own) == key(momentum="0.3") != key()


def test_refinement_takes_part_only_when_it_is_switched_on(tiny: Path) -> None:
    plain = {(stage.stage(), stage.key) for stage in walk(Tables(dataset="tiny"))}
    varied = walk(Tables(dataset="tiny", variant="Refinements.method=crf"))
    new = {stage.stage() for stage in varied if (stage.stage(), stage.key) not in plain}
    assert new == {"Refinements", "Scores", "Tables"}


@pytest.mark.parametrize("name", knobs.fields(knobs.RefinementsKnobs))
def test_every_knob_of_the_refinement_changes_its_key(tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from tasks import Refinements

    def key() -> str:
        Register.clear_instance_cache()
        return Refinements(dataset="tiny", segmenter="unet", labels="full").key

    before, old = key(), getattr(resolved("Refinements", "tiny"), name)
    with_other_value(monkeypatch, "Refinements", name, other(knobs.fields(knobs.RefinementsKnobs)[name], name, old))
    assert key() != before


@pytest.mark.parametrize("name", knobs.fields(knobs.EdgeMapsKnobs))
def test_a_knob_of_the_edge_maps_counts_where_a_network_takes_them_but_for_the_place_of_its_files(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tiny / "configs" / "tiny.toml"
    text = path.read_text().replace('segmenters = ["unet"]', 'segmenters = ["unet", "scnet"]')
    path.write_text(f'{text}[EdgeMaps]\nfolder = "{tiny}"\n[Segmenter.options.scnet]\nedges = "input"\n')
    before = graph()
    keys = {role: stage.key for role, stage in before.items()}
    expected = set() if name == "folder" else below(before, "EdgeMaps")
    old = getattr(resolved("EdgeMaps", "tiny"), name)
    with_other_value(monkeypatch, "EdgeMaps", name, other(knobs.fields(knobs.EdgeMapsKnobs)[name], name, old))
    changed = {role for role, stage in graph().items() if stage.key != keys[role]}
    assert changed == expected
    networks = {dict(part.split("=") for part in role[1:]).get("segmenter") for role in changed if "Segmenter" in role}
    assert networks == (set() if name == "folder" else {"scnet"})


def test_going_back_to_old_values_goes_back_to_old_keys(tiny: Path) -> None:
    assert graph().keys() == graph().keys()
    assert [stage.key for stage in graph().values()] == [stage.key for stage in graph().values()]


def test_the_same_value_written_differently_has_the_same_key(tiny: Path) -> None:
    from tasks import PseudoLabels

    as_text = PseudoLabels(dataset="tiny", arch="resnet18", cam_weight="1").key
    Register.clear_instance_cache()
    assert PseudoLabels(dataset="tiny", arch="resnet18", cam_weight=1.0).key == as_text


def test_options_of_one_segmenter_do_not_touch_the_others(tiny: Path) -> None:
    from tasks import Segmenter

    one = Segmenter(dataset="tiny", segmenter="unet", labels="full").key
    Register.clear_instance_cache()
    options = '{"another": {"width": 3}}'
    assert Segmenter(dataset="tiny", segmenter="unet", labels="full", options=options).key == one


def test_a_variant_that_changes_nothing_upstream_shares_the_upstream_entries(tiny: Path) -> None:
    plain, varied = Tables(dataset="tiny"), Tables(dataset="tiny", variant="two_classes")
    plain_keys = {(stage.stage(), stage.key) for stage in walk(plain)}
    varied_stages = {stage.stage() for stage in walk(varied) if (stage.stage(), stage.key) not in plain_keys}
    assert varied_stages == {"ThresholdMaps", "PseudoLabels", "Segmenter", "Predictions", "Scores", "Tables"}


def test_a_raised_version_renames_the_stage_and_all_below(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import ThresholdMaps

    before = {role: stage.key for role, stage in graph().items()}
    monkeypatch.setattr(ThresholdMaps, "version", ThresholdMaps.version + 1)
    stages = graph()
    changed = {role for role, stage in stages.items() if stage.key != before[role]}
    assert changed == below(stages, "ThresholdMaps")


def test_every_section_of_the_settings_belongs_to_a_stage_or_to_the_execution() -> None:
    offered = {name for names in tasks.NAMES.values() for name in names}
    assert set(knobs.SECTIONS) - {"Execution", "Measuring", "Trees"} <= offered  # these belong to no one task
    for stage in tasks.STAGES:
        assert knobs.section_of(stage.schema) == stage.__name__
