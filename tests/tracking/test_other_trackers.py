"""TensorBoard and MLflow, read back from their own files."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tiny_task import make_suite
from tracked_runs import LONG, resolved, run_options, untracked

from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.run import run
from bench.tracking.options import TrackOptions, viewer_command
from bench.tracking.tracker import fingerprint

pytest_plugins = ["surroundings"]
pytestmark = pytest.mark.usefixtures("own_surroundings")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=make_suite(tmp_path / "suite"))


def stopped(suite: Suite, kind: Any, **given: Any) -> None:
    """The first session of a run, stopped in its second epoch."""
    from bench.training.callbacks import TrackCallback

    original = TrackCallback.on_train_epoch_end

    def stop(self: Any, trainer: Any, module: Any) -> None:
        original(self, trainer, module)
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TrackCallback, "on_train_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run(resolved(suite, **LONG), suite, run_options(kind, **given))


def events(suite: Suite, record: Record) -> Any:
    library: Any = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    folder = suite.folder / "artifacts" / "tensorboard" / "tiny" / record.id
    return library.EventAccumulator(str(folder), size_guidance={library.HISTOGRAMS: 0}).Reload()


def store(suite: Suite) -> MlflowClient:
    return MlflowClient(f"sqlite:///{suite.folder.resolve() / 'artifacts' / 'mlflow.db'}")


def mlflow_run(client: MlflowClient, experiment: str = "sequence-bench") -> Any:
    """The one run of an experiment."""
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    (found,) = client.search_runs([known.experiment_id])
    return found


def test_tensorboard_has_every_row_once_over_two_sessions(suite: Suite) -> None:
    stopped(suite, "tensorboard", gradients=60)
    record = run(resolved(suite, **LONG), suite, run_options("tensorboard", gradients=60))
    found = events(suite, record)
    values = [(event.step, event.value) for event in found.Scalars("epoch/valid")]
    assert [step for step, _ in values] == [point.step for point in record.curve]
    for (_, value), point in zip(values, record.curve, strict=True):
        assert value == pytest.approx(point.valid, rel=1e-6)
    (last,) = found.Scalars("final/test")
    assert last.value == pytest.approx(record.metrics["test"], rel=1e-6)
    steps = {event.step for event in found.Histograms("gradients/embedding.weight")}
    assert steps == {60, 120}
    (text,) = found.Tensors("samples/test/text_summary")
    assert b"| text |" in text.tensor_proto.string_val[0]
    assert record.metrics == untracked(suite, **LONG).metrics


def test_mlflow_has_one_run_over_two_sessions(suite: Suite) -> None:
    stopped(suite, "mlflow", notes="a note")
    given = run_options("mlflow", notes="a note", gradients=60, artifacts="checkpoints,tables")
    record = run(resolved(suite, **LONG), suite, given)
    client = store(suite)
    found = mlflow_run(client)
    assert found.info.status == "FINISHED"
    assert found.data.params["model/name"] == "srn"
    assert found.data.tags["record"] == fingerprint(record)
    assert found.data.tags["mlflow.note.content"] == "a note"
    assert found.data.metrics["final/test"] == pytest.approx(record.metrics["test"])
    values = {m.step: m.value for m in client.get_metric_history(found.info.run_id, "epoch/valid")}
    assert values == {point.step: pytest.approx(point.valid) for point in record.curve}
    assert found.data.metrics["gradients/embedding.weight"] > 0
    paths = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert paths == {"checkpoints", "samples.tsv", "tables"}
    assert record.metrics == untracked(suite, **LONG).metrics


def test_an_mlflow_store_and_experiment_of_the_users_own(suite: Suite, tmp_path: Path) -> None:
    uri = (tmp_path / "elsewhere").as_uri()
    run(resolved(suite), suite, run_options("mlflow", uri=uri, project="mine"))
    assert mlflow_run(MlflowClient(uri), "mine").info.status == "FINISHED"


@pytest.mark.parametrize(("kind", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_package_is_named_before_training(
    monkeypatch: pytest.MonkeyPatch, kind: Any, module: str
) -> None:
    from bench.cli.settings import track_options
    from bench.core.errors import BenchError

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BenchError, match=rf"pip install 'sequence-bench\[{module}\]'"):
        track_options(kind, None)


def test_an_unwritable_store_is_one_warning(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    record = run(
        resolved(suite), suite, run_options("mlflow", uri=(tmp_path / "file" / "store").as_uri())
    )
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: MLflow failed (")
    assert record.metrics == untracked(suite).metrics


def test_the_command_that_opens_a_tracker_names_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow = viewer_command("mlflow", TrackOptions(), tmp_path)
    assert mlflow == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/artifacts/mlflow.db"
    tensorboard = viewer_command("tensorboard", TrackOptions(), tmp_path)
    assert tensorboard == f"tensorboard --logdir {tmp_path}/artifacts/tensorboard"
    assert viewer_command("none", TrackOptions(), tmp_path) is None
