"""The command line: what it accepts, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from napari_semimultipose import __version__, api
from napari_semimultipose.cli import app
from napari_semimultipose.cli.options import evaluate_config, parse_frame_range
from napari_semimultipose.cli.predict import plan
from napari_semimultipose.cli.progress import Progress, duration
from napari_semimultipose.cli.stopping import stop_on_signal
from napari_semimultipose.cli.tables import score_table
from napari_semimultipose.cli.train import follow
from napari_semimultipose.errors import ConfigError, FramesError, TrainingError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.io.video_writer import write_video
from napari_semimultipose.models.checkpoint import ModelInfo, write_info
from napari_semimultipose.models.ensemble import EnsembleInfo, member_folder, write_ensemble
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.sources import read_entries
from napari_semimultipose.training import events

SKELETON = Skeleton(("head", "left", "right"), edges=((0, 1), (0, 2)))
COMMANDS = (
    "train",
    "ensemble",
    "predict",
    "measure",
    "suggest",
    "check",
    "track",
    "smooth",
    "evaluate",
    "report",
    "render",
    "convert",
    "demo",
    "info",
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def fails(result: Result, *words: str) -> None:
    """The command failed with one line that has all the words, and without a traceback."""
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture
def truth() -> Poses:
    rng = np.random.default_rng(0)
    centre = rng.uniform(50, 200, (4, 2, 1, 2))
    xy = centre + np.array([[0, -20], [-10, 10], [10, 10]])
    images = tuple(f"images/{i}.png" for i in range(4))
    return Poses(
        SKELETON, xy, np.arange(4), track=[[0, 1]] * 4, videos=(Video("", images, (300, 300)),)
    )


@pytest.fixture
def truth_file(truth: Poses, tmp_path: Path) -> Path:
    path = tmp_path / "truth.slp"
    write_poses(truth, path)
    return path


class TestConventions:
    def test_version(self) -> None:
        result = run("--version")
        assert (result.exit_code, result.stdout.strip()) == (0, __version__)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help(self, command: str) -> None:
        result = run(command, "--help")
        assert result.exit_code == 0
        assert command in result.stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            ["fly"],
            ["train", "labels.slp"],
            ["train", "labels.slp", "more.slp", "--out", "m"],
            ["predict", "model", "--out", "x.slp"],
            ["train", "labels.slp", "--out", "m", "--minutes", "soon"],
            ["train", "labels.slp", "--out", "m", "--minutes", "1", "--iterations", "5"],
            ["ensemble", "labels.slp", "--out", "m", "--minutes", "1", "--iterations", "5"],
            ["ensemble", "labels.slp", "more.slp", "--out", "m"],
            ["train", "labels.slp", "--out", "m", "--resume", "--seed", "1"],
            ["train", "labels.slp", "--out", "m", "--resume", "--losses", "pca"],
            ["train", "labels.slp", "--out", "m", "--resume", "--set", "train.lr=1"],
        ],
    )
    def test_a_wrong_command_line_ends_with_2(self, arguments: list[str]) -> None:
        assert run(*arguments).exit_code == 2

    def test_what_the_user_can_mend_is_one_line(self, tmp_path: Path) -> None:
        fails(
            run("train", tmp_path / "no.slp", "--out", tmp_path / "m"), "no.slp", "does not exist"
        )
        fails(run("predict", tmp_path, tmp_path, "--out", tmp_path / "p.slp"), "no model folder")
        fails(run("train", "x.slp", "--out", "m", "--preset", "papper"), "papper", "paper")
        fails(run("train", "x.slp", "--out", "m", "--set", "train.sead=1"), "train.seed")

    def test_errors_of_the_system_are_one_line(self, truth_file: Path, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.touch()
        fails(run("convert", truth_file, blocked / "out.slp"), "out.slp")

    def test_ctrl_c_ends_with_130(
        self, truth_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*args: object, **kwargs: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(api, "read_poses", interrupted)
        result = run("convert", truth_file, tmp_path / "out.json")
        assert result.exit_code == 130
        assert "Traceback" not in result.stderr


class TestSuggest:
    @pytest.fixture
    def recording(self, tmp_path: Path) -> Path:
        rng = np.random.default_rng(0)
        looks = rng.integers(0, 255, (4, 20, 30, 1), np.uint8)
        path = tmp_path / "clip.npy"
        np.save(path, np.repeat(looks, 15, axis=0))
        return path

    @pytest.fixture
    def predictions(self, tmp_path: Path) -> Path:
        xy = 10 + np.zeros((60, 1, 3, 2)) + np.array([[0, -5], [-3, 4], [3, 4]])
        score = np.full((60, 1), 0.8)
        score[33] = 0.1
        poses = Poses(SKELETON, xy, np.arange(60), instance_score=score, source=np.ones((60, 1)))
        write_poses(poses, tmp_path / "poses.slp")
        return tmp_path / "poses.slp"

    def test_the_list_can_be_read_by_others_and_has_the_reasons(
        self, recording: Path, tmp_path: Path
    ) -> None:
        out, reasons = tmp_path / "label.txt", tmp_path / "label.json"
        result = run("suggest", recording, "--count", 4, "--out", out, "--json", reasons)
        assert result.exit_code == 0, result.output
        frames = [int(entry) for entry in read_entries(out)]
        assert sorted(f // 15 for f in frames) == [0, 1, 2, 3]
        content = json.loads(reasons.read_text())
        assert [entry["frame"] for entry in content] == frames
        assert {entry["kind"] for entry in content} == {"look"}
        assert content[0]["value"] == 0.25
        assert "# stands for 25 % of the frames" in out.read_text()
        assert result.stdout.splitlines()[0].startswith(f"{frames[0]}\tstands for 25 %")

    def test_predictions_and_labels_are_taken_into_account(
        self, recording: Path, predictions: Path, tmp_path: Path
    ) -> None:
        out, reasons = tmp_path / "label.txt", tmp_path / "label.json"
        ask = ("suggest", recording, "--predictions", predictions, "--out", out, "--json", reasons)
        assert run(*ask, "--count", 1).exit_code == 0
        (found,) = json.loads(reasons.read_text())
        assert (found["frame"], found["kind"], found["value"]) == (33, "animal score", 0.1)
        assert found["doubt"] > 0.4
        labels = read_poses(predictions).select([33])
        labels.source[:] = 0
        write_poses(labels, tmp_path / "labels.slp")
        assert run(*ask, "--labels", tmp_path / "labels.slp").exit_code == 0
        assert "33" not in read_entries(out)

    def test_images_are_named_as_in_their_list(self, tmp_path: Path) -> None:
        import imageio.v3 as iio

        (tmp_path / "images").mkdir()
        names = [f"images/{i}.png" for i in range(6)]
        for name in names:
            iio.imwrite(tmp_path / name, np.zeros((8, 8), np.uint8))
        (tmp_path / "all.txt").write_text("\n".join(names))
        out = tmp_path / "label.txt"
        result = run("suggest", tmp_path / "all.txt", "--by", "even", "--count", 2, "--out", out)
        assert result.exit_code == 0, result.output
        assert read_entries(out) == [names[1], names[4]]

    def test_what_cannot_be_is_said(
        self, recording: Path, predictions: Path, truth_file: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.txt"
        fails(run("suggest", recording, "--by", "uncertain", "--out", out), "predictions")
        fails(run("suggest", recording, "--by", "best", "--out", out), "'best'", "diverse")
        fails(run("suggest", truth_file, "--out", out), "labels file")
        fails(run("suggest", tmp_path / "no.mp4", "--out", out), "no.mp4")
        fails(run("suggest", recording, "--out", recording), "would be replaced")
        ask = ("suggest", recording, "--predictions", predictions, "--by", "even", "--out", out)
        fails(run(*ask), "'even'", "predictions")
        assert not out.exists()


class TestConvert:
    def test_all_of_it_arrives(self, truth: Poses, truth_file: Path, tmp_path: Path) -> None:
        out = tmp_path / "sub" / "labels.json"
        result = run("convert", truth_file, out)
        assert (result.exit_code, result.output) == (0, "")
        back = read_poses(out)
        np.testing.assert_allclose(back.xy, truth.xy, atol=1e-3)
        assert back.skeleton.keypoints == SKELETON.keypoints

    def test_predictions_become_labels_when_asked(
        self, truth: Poses, truth_file: Path, tmp_path: Path
    ) -> None:
        predicted = replace(truth, source=np.full(truth.present.shape, Source.PREDICTED))
        write_poses(predicted, tmp_path / "predicted.slp")
        for given, wanted in ((), Source.PREDICTED), (("--accept",), Source.HUMAN):
            out = tmp_path / "out.slp"
            assert run("convert", tmp_path / "predicted.slp", out, *given).exit_code == 0
            back = read_poses(out)
            assert back.n_instances == truth.n_instances
            assert set(back.source[back.present]) == {wanted}

    def test_one_kind_of_animal_of_several_is_chosen(self, tmp_path: Path) -> None:
        kinds = [
            {"id": i, "name": name, "keypoints": [f"{name} nose", f"{name} tail"]}
            for i, name in ((1, "bee"), (2, "ant"))
        ]
        notes = [
            {"id": i, "image_id": 1, "category_id": i, "keypoints": [i, 2, 2, 9, 4, 2]}
            for i in (1, 2)
        ]
        content = {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "categories": kinds,
            "annotations": notes,
        }
        both = tmp_path / "both.json"
        both.write_text(json.dumps(content))
        result = run("convert", both, tmp_path / "ants.slp", "--category", "ant")
        assert result.exit_code == 0, result.output
        ants = read_poses(tmp_path / "ants.slp")
        assert ants.skeleton.keypoints == ("ant nose", "ant tail")
        assert ants.n_instances == 1
        fails(run("convert", both, tmp_path / "x.slp", "--category", "wasp"), "wasp", "ant, bee")

    def test_an_unknown_suffix_names_the_formats(self, truth_file: Path, tmp_path: Path) -> None:
        fails(run("convert", truth_file, tmp_path / "labels.doc"), "labels.doc", ".slp", ".json")


class TestEvaluate:
    def test_the_truth_is_perfect(self, truth_file: Path, tmp_path: Path) -> None:
        out = tmp_path / "scores.json"
        result = run("evaluate", truth_file, truth_file, "--json", out)
        assert result.exit_code == 0, result.stderr
        scores = json.loads(out.read_text())
        assert scores["ap"] == scores["ap50"] == scores["ap75"] == 1
        assert scores["median_error_px"] == 0
        assert "AP50" in result.stdout
        assert "left" in result.stdout

    def test_a_shift_is_the_error(self, truth: Poses, truth_file: Path, tmp_path: Path) -> None:
        moved = Poses(SKELETON, truth.xy + np.array([3, 4]), truth.frame, videos=truth.videos)
        write_poses(moved, tmp_path / "moved.slp")
        out = tmp_path / "scores.json"
        assert run("evaluate", tmp_path / "moved.slp", truth_file, "--json", out).exit_code == 0
        scores = json.loads(out.read_text())
        assert scores["median_error_px"] == pytest.approx(5)
        # COCO: exp(-d^2 / (8 A sigma^2)) with the keypoint box, 20 x 30 px, and 10 px around it.
        assert scores["mean_oks"] == pytest.approx(math.exp(-25 / (8 * 40 * 50 * 0.05**2)))

    def test_swapped_keypoints_count_only_when_allowed(
        self, truth: Poses, truth_file: Path, tmp_path: Path
    ) -> None:
        swapped = Poses(SKELETON, truth.xy[:, :, [0, 2, 1]], truth.frame, videos=truth.videos)
        write_poses(swapped, tmp_path / "swapped.slp")
        out = tmp_path / "scores.json"
        run("evaluate", tmp_path / "swapped.slp", truth_file, "--json", out)
        assert json.loads(out.read_text())["ap75"] == 0
        run("evaluate", tmp_path / "swapped.slp", truth_file, "--swap", "left,right", "--json", out)
        assert json.loads(out.read_text())["ap75"] == 1
        fails(run("evaluate", truth_file, truth_file, "--swap", "left"), "--swap L,R")
        fails(run("evaluate", truth_file, truth_file, "--swap", "left,paw"), "'paw'")

    def test_a_list_restricts_the_frames(self, truth_file: Path, tmp_path: Path) -> None:
        chosen = tmp_path / "list.txt"
        chosen.write_text("images/1.png\n3.png\n")
        out = tmp_path / "scores.json"
        run("evaluate", truth_file, truth_file, "--frames-list", chosen, "--json", out)
        assert json.loads(out.read_text())["frames"] == 2
        chosen.write_text("images/9.png\n")
        fails(run("evaluate", truth_file, truth_file, "--frames-list", chosen), "9.png")

    def test_settings_of_the_scores(self) -> None:
        config = evaluate_config(["area=box", "pck_px=[1, 2]"], sigma=0.1)
        assert (config.area, config.pck_px, config.sigma) == ("box", (1.0, 2.0), 0.1)
        for wrong in ("area=disc", "aera=box", "area"):
            with pytest.raises(ConfigError, match="area"):
                evaluate_config([wrong])

    def test_undefined_scores_are_dashes_in_the_table(self, truth: Poses, truth_file: Path) -> None:
        scores = api.evaluate(Poses.empty(SKELETON, truth.videos), truth)
        table = score_table(scores)
        assert "4 frames have no prediction" in table
        assert "nan" not in table.lower()


class TestTrack:
    def test_animals_keep_their_identity(self, truth: Poses, tmp_path: Path) -> None:
        shift = np.arange(4)[:, None, None, None] * np.array([2.0, 1.0])
        xy = np.array([[[20, 20], [15, 35], [25, 35]], [[220, 120], [215, 135], [225, 135]]])
        moving = Poses(SKELETON, xy[None] + shift, np.arange(4))
        mixed = moving.xy.copy()
        mixed[1::2] = mixed[1::2, ::-1]
        write_poses(Poses(SKELETON, mixed, np.arange(4)), tmp_path / "in.slp")
        result = run("track", tmp_path / "in.slp", "--out", tmp_path / "out.slp", "--animals", 2)
        assert result.exit_code == 0, result.stderr
        tracked = read_poses(tmp_path / "out.slp")
        for t in range(2):
            x = tracked.xy[tracked.track == t][:, 0, 0]
            np.testing.assert_allclose(np.diff(x), 2)


class TestPredict:
    def test_one_recording_goes_to_the_file_that_is_named(self, tmp_path: Path) -> None:
        (job,) = plan([tmp_path / "a.mp4"], tmp_path / "out.slp")
        assert job.target == tmp_path / "out.slp"

    def test_several_recordings_go_to_a_folder(self, tmp_path: Path) -> None:
        jobs = plan([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "results")
        assert [job.target.name for job in jobs] == ["a.slp", "b.slp"]
        with pytest.raises(FramesError, match="name a folder"):
            plan([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "out.slp")

    def test_a_folder_of_videos_is_several_recordings(self, tmp_path: Path) -> None:
        for name in ("b.mp4", "a.avi", "notes.txt", ".hidden.mp4"):
            (tmp_path / name).touch()
        assert [j.source.name for j in plan([tmp_path], tmp_path / "out")] == ["a.avi", "b.mp4"]

    def test_a_folder_of_images_is_one_recording(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").touch()
        (tmp_path / "clip.mp4").touch()
        (job,) = plan([tmp_path], tmp_path / "out.slp")
        assert job.source == tmp_path

    def test_recordings_of_one_name_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FramesError, match="one file"):
            plan([tmp_path / "x/a.mp4", tmp_path / "y/a.avi"], tmp_path / "out")

    def test_what_is_read_is_never_replaced(self, tmp_path: Path) -> None:
        (job,) = plan([tmp_path / "a.mp4"], tmp_path)
        assert job.target == tmp_path / "a.slp"
        assert job.clip == tmp_path / "a.labeled.mp4"
        for out in (tmp_path, tmp_path / "truth.slp"):
            with pytest.raises(FramesError, match="would be replaced"):
                plan([tmp_path / "truth.slp"], out)

    @pytest.mark.parametrize(
        ("text", "numbers"),
        [("2:5", [2, 3, 4]), (":3", [0, 1, 2]), ("7:", [7, 8, 9]), ("0:10:4", [0, 4, 8])],
    )
    def test_frame_ranges(self, text: str, numbers: list[int]) -> None:
        assert list(range(10))[parse_frame_range(text)] == numbers

    @pytest.mark.parametrize(
        "text", ["5", "5:5", "5:2", "-3:4", "a:b", "1:2:3:4", "0:9:0", "1.5:3"]
    )
    def test_wrong_frame_ranges(self, text: str) -> None:
        with pytest.raises(ConfigError, match="FIRST:END"):
            parse_frame_range(text)


class TestProgress:
    def test_plain_lines_are_rare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        stream = io.StringIO()
        with Progress("training", stream) as display:
            for second in range(30):
                now[0] = float(second)
                display.update(second / 30, "loss 1")
            display.note("done")
        assert stream.getvalue().splitlines() == [
            "training  33%  loss 1",
            "training  67%  loss 1",
            "done",
        ]

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0:00"), (-1, "0:00"), (61.4, "1:01"), (3725, "1:02:05")]
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_events_become_lines(self, tmp_path: Path) -> None:
        stream = io.StringIO()
        done = events.Done(tmp_path, 9, "finished")
        story: list[events.Event] = [
            events.Started(tmp_path, "cpu", 8, 20, 2, 0, None, 10.0, 0.5),
            events.Notice("out of memory: going on"),
            events.Validation(5, 61, {"ap": 0.5, "median_error_px": float("nan")}, True),
            done,
        ]
        assert follow(iter(story), Progress("training", stream)) is done
        text = stream.getvalue()
        for part in (
            "10 minutes",
            "8 labelled",
            "20 unlabelled",
            "out of memory",
            "AP 0.500",
            "best",
        ):
            assert part in text
        assert "nan" not in text

    def test_a_failed_training_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="no labels"):
            follow(iter([events.Failed("no labels")]), Progress("training", io.StringIO()))


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_signal_asks_and_the_second_aborts(self, number: int) -> None:
        before = signal.getsignal(number)
        with stop_on_signal() as stop:
            assert not stop()
            stop.exit_if_asked()
            signal.raise_signal(number)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is before
        assert stop.signal == number


class TestCheck:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """40 animals looking up, one of them with left and right exchanged."""
        rng = np.random.default_rng(0)
        skeleton = Skeleton(("tail", "head", "earL", "earR"), symmetry=((2, 3),))
        xy = np.array([[0.0, 30], [0, 0], [-8, -8], [8, -8]]) + rng.normal(0, 1, (40, 1, 4, 2)) + 90
        xy[7] = xy[7][:, [0, 1, 3, 2]]
        images = tuple(f"{i:03}.png" for i in range(40))
        path = tmp_path / "labels.slp"
        write_poses(Poses(skeleton, xy, np.arange(40), videos=(Video("", images),)), path)
        return path

    def test_the_list_says_where_and_why(self, file: Path, tmp_path: Path) -> None:
        result = run("check", file, "--json", tmp_path / "list.json")
        assert result.exit_code == 0, result.stderr
        (line,) = result.stdout.splitlines()
        place, kind, text = line.split("\t")
        assert place.startswith("007.png (")
        assert kind == "left/right"
        assert "earL - earR swapped" in text
        (entry,) = json.loads((tmp_path / "list.json").read_text())
        assert entry["image"] == "007.png"
        assert entry["pairs"] == [["earL", "earR"]]

    def test_options_without_effect_are_refused(self, file: Path) -> None:
        result = run("check", file, "--minutes", 2)
        assert result.exit_code == 2
        assert "only used with --folds" in result.stderr

    def test_labels_are_not_overwritten(self, file: Path) -> None:
        before = file.read_bytes()
        fails(run("check", file, "--json", file), "would be replaced")
        assert file.read_bytes() == before


# ------------------------------------------------------------------ report


def test_options_of_a_report_belong_to_its_kind(truth: Poses, tmp_path: Path) -> None:
    write_poses(truth, tmp_path / "poses.slp")
    for option in (("--device", "cpu"), ("--set", "predict.turns=2")):
        result = run("report", tmp_path / "poses.slp", "--out", tmp_path / "r.html", *option)
        assert result.exit_code == 2
        assert f"{option[0]} is for models" in " ".join(result.stderr.split())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "config.yaml").write_text("")
    result = run("report", folder, "--out", tmp_path / "r.html", "--animals", 2)
    assert result.exit_code == 2
    assert "--animals is for poses" in " ".join(result.stderr.split())


def test_a_report_that_cannot_be_made_says_why(truth: Poses, tmp_path: Path) -> None:
    write_poses(truth, tmp_path / "poses.slp")
    fails(run("report", tmp_path / "poses.slp", "--out", tmp_path / "r.pdf"), ".html", "PDF")
    fails(run("report", tmp_path / "no.slp", "--out", tmp_path / "r.html"), "no.slp")
    (tmp_path / "empty").mkdir()
    fails(run("report", tmp_path / "empty", "--out", tmp_path / "r.html"), "no model folder")
    fails(
        run("report", tmp_path / "poses.slp", "--out", tmp_path / "r.html", "--score", "sigm=1"),
        "sigma",
    )
    assert not (tmp_path / "r.html").exists()


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """Tracked poses of two recordings of different sizes, each beside them."""
    parts = []
    for name, size in (("a", (64, 80)), ("b", (48, 64))):
        made = SyntheticRecording(6, animals=2, size=size, length_px=20, seed=1, missing=0)
        with write_video(tmp_path / f"{name}.mp4", size, 25.0, 20) as writer:
            for picture in made[:]:
                writer.write(picture)
        parts.append(made.poses(Video(f"{name}.mp4")))
        write_poses(parts[-1], tmp_path / f"{name}.slp")
    both = Poses.concatenate(parts)
    write_poses(both, tmp_path / "both.slp")
    return tmp_path


def test_poses_are_drawn_into_their_recording(tracked: Path) -> None:
    out = tracked / "drawn.mp4"
    done = run("render", tracked / "a.slp", "--out", out)
    assert done.exit_code == 0, done.output
    with open_frames(out) as drawn, open_frames(tracked / "a.mp4") as bare:
        assert drawn.shape == bare.shape
        assert np.abs(drawn[3].astype(int) - bare[3]).max() > 60
    plain = run(
        *("render", tracked / "a.slp", "--out", out, "--frame-range", "2:4", "--no-names"),
        *("--colours", "keypoint", "--trail", 0),
    )
    assert plain.exit_code == 0, plain.output
    with open_frames(out) as drawn:
        assert len(drawn) == 2


def test_of_several_recordings_one_is_drawn(tracked: Path) -> None:
    out = tracked / "drawn.mp4"
    fails(run("render", tracked / "both.slp", "--out", out), "2 recordings ('a.mp4', 'b.mp4')")
    done = run("render", tracked / "both.slp", "--frames", tracked / "b.mp4", "--out", out)
    assert done.exit_code == 0, done.output
    with open_frames(out) as drawn:
        assert drawn.shape[:3] == (6, 48, 64)
    (tracked / "a.mp4").unlink()
    fails(run("render", tracked / "a.slp", "--out", out), "a.mp4")
    fails(run("render", tracked / "b.slp", "--frames", out, "--out", out), "would be replaced")


@pytest.mark.parametrize(("command", "verb"), [("train", "train"), ("ensemble", "train_ensemble")])
def test_the_options_of_both_commands_that_train_reach_the_settings(
    command: str, verb: str, truth_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {}

    def learning(labels: Path, out: Path, **given: object) -> list[events.Event]:
        told.update(given)
        return [events.Done(out, 5, "finished")]

    monkeypatch.setattr(api, verb, learning)
    result = run(
        command, truth_file, "--out", tmp_path / "m", "--losses", "temporal, multiview",
        "--cameras", "left,right", "--method", "labeled", "--context", "--iterations", "5",
        "--seed", "3", "--device", "cpu", "--unlabeled", "a.mp4", "b.mp4",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    config = told["config"]
    assert isinstance(config, api.Config)
    assert list(config.video.losses) == ["temporal", "multiview"]
    assert list(config.video.cameras) == ["left", "right"]
    assert (config.model.kind, config.train.method) == ("directpose", "labeled")
    assert config.model.context is True
    assert (config.train.iterations, config.train.minutes) == (5, 0)
    assert (config.train.seed, config.train.device) == (3, "cpu")
    assert told["unlabeled"] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("more", "length"), [((), (5000, 0.0)), (("--minutes", "3", "--device", "cpu"), (0, 3.0))]
)
def test_a_grown_ensemble_trains_as_long_as_its_first_members(
    more: tuple[str, ...], length: tuple[int, float], truth_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told: dict[str, api.Config] = {}

    def learning(labels: Path, out: Path, **given: object) -> list[events.Event]:
        told.update(given)  # type: ignore[arg-type]
        return [events.Done(out, 5, "finished")]

    out = tmp_path / "m"
    config = api.Config().with_settings({"train.iterations": 5000, "train.minutes": 0})
    write_ensemble(out, EnsembleInfo(5, (0,)))
    write_info(member_folder(out, 0), ModelInfo(SKELETON, config, 1.0, 30.0))
    monkeypatch.setattr(api, "train_ensemble", learning)
    result = run("ensemble", truth_file, "--out", out, "--members", 8, *more)
    assert result.exit_code == 0, result.output
    train = told["config"].train
    assert (train.iterations, train.minutes) == length
    assert train.device == ("cpu" if more else "auto")
