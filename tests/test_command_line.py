"""The command line: every slip is one sentence, before any work, with a non-zero exit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Luigi


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("RunAl", "--dataset", "tiny"), "error: there is no task 'RunAl'; did you mean RunAll?"),
        (("RunAll", "--dataset", "tinny"), "error: there is no dataset 'tinny'; did you mean tiny?"),
        (("RunAll", "--dataset", "../../etc"), "error: dataset '../../etc'; allowed: lower-case letters"),
        (("RunAll", "--dataset", ""), "error: dataset ''; allowed: lower-case letters"),
        (("RunAll", "--dataset", "tiny", "--recipe", "papr"), "error: there is no recipe 'papr'; did you mean paper?"),
        (("RunAll", "--dataset", "tiny", "--variant", "two"), "error: there is no variant 'two'"),
        (("RunAll", "--datasets", "tiny"), "error: there is no option --datasets; did you mean --dataset?"),
        (
            ("RunAll", "--dataset", "tiny", "--PseudoLabels-erosion-iteration", "2"),
            "error: there is no option --PseudoLabels-erosion-iteration; "
            "did you mean --PseudoLabels-erosion-iterations?",
        ),
        (
            ("RunAll", "--dataset", "tiny", "--ThresholdMaps-stride-px", "-4"),
            "error: --ThresholdMaps-stride-px -4; allowed: 1 to 65536",
        ),
        (
            ("RunAll", "--dataset", "tiny", "--ThresholdMaps-stride-px=four"),
            "error: --ThresholdMaps-stride-px 'four'; allowed: a whole number",
        ),
        (("PatchMaps", "--dataset", "tiny", "--overlap", "maen"), "error: --PatchMaps-overlap 'maen'; allowed: 'mean'"),
        (
            ("RunAll", "--dataset", "tiny", "--Scores-empty", "none"),
            "error: --Scores-empty 'none'; allowed: 'zero', 'one', 'skip'",
        ),
        (("Classifier", "--dataset", "tiny", "--arch", "resnet19"), "error: there is no arch 'resnet19'; did you mean"),
        (("Segmenter", "--dataset", "tiny", "--segmenter", "unett", "--labels", "full"), "did you mean unet?"),
        (("Invalidate", "--dataset", "tiny", "--stage", "ThresholdMap"), "did you mean ThresholdMaps?"),
        (("Segmenter", "--dataset", "tiny"), "error: Segmenter needs --labels; allowed: full|crf|pseudo|semi"),
        (
            ("RunAll", "--dataset", "tiny", "--Classifier-weights", "nowhere.pth"),
            "error: [Classifier] weights: there is no file",
        ),
    ],
)
def test_a_slip_is_one_sentence_before_any_work(
    luigi_run: Luigi, tiny: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = luigi_run(*words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (tiny / "outputs").exists()


def test_a_slip_in_a_settings_file_is_told_with_file_and_line(luigi_run: Luigi, tiny: Path) -> None:
    path = tiny / "configs" / "tiny.toml"
    path.write_text(path.read_text().replace("stride_px = 128", "stride_pixels = 128"))
    done = luigi_run("RunAll", "--dataset", "tiny")
    assert done.returncode == 2
    expected = f"error: {path}, line 14: [Patches] has no key 'stride_pixels'; did you mean stride_px?\n"
    assert done.stderr == expected


def test_the_help_of_a_task_lists_its_knobs(luigi_run: Luigi) -> None:
    done = luigi_run("PseudoLabels", "--help")
    assert done.returncode == 0
    assert "--erosion-iterations" in done.stdout
