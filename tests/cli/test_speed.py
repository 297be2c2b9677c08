"""Reports of `bench speed` follow from their own timings; no test depends on a speed."""

from __future__ import annotations

import pytest
from command_line import CommandLine

from bench.layers import OUTPUT_LAYERS

SMALL = (
    "speed --task synthetic-text --model srn --model.hidden-size 16 --rounds 1 "
    "--objective.batch-size 2 --objective.bptt-length 6 --trainer.threads 1"
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def rows(block: str) -> dict[str, list[float]]:
    """Numbers by name of the lines below a table's header; names may hold one blank."""
    found: dict[str, list[float]] = {}
    for line in block.splitlines()[2:]:
        name, *cells = [cell for cell in line.strip().split("  ") if cell.strip()]
        found[name] = [float(cell.replace(",", "")) for cell in cells]
    return found


def exact_ms(cells: list[float], num_tokens: int = 12) -> float:
    """Milliseconds, from the printed number that lost less to rounding."""
    ms, per_sec, *_ = cells
    return ms if ms > 1 else 1000 * num_tokens / per_sec


def test_output_layers_are_compared_on_the_task_s_words_and_on_50_000(bench: CommandLine) -> None:
    said = bench(*SMALL.split(), "--part", "output")
    assert said.status == 0, said
    heading, *blocks = said.out.strip().split("\n\n")
    assert "output layers of 16 inputs, 12 tokens" in heading
    assert [block.split(" words")[0] for block in blocks] == ["321", "50,000"]
    for block, num_words in zip(blocks, (321, 50_000), strict=True):
        found = rows(block)
        assert set(OUTPUT_LAYERS) < set(found)
        for name, (ms, per_sec, ratio, *flops) in found.items():
            assert abs(ms - 12_000 / per_sec) < 0.0051 + 0.6 * ms / per_sec, name
            expected = exact_ms(found["full"]) / exact_ms(found[name])
            assert abs(ratio - expected) < 0.051 + 0.011 * expected, name
            assert bool(flops) == (name in OUTPUT_LAYERS)
        assert found["full"][3] == pytest.approx(6 * 16 * num_words / 1e6, abs=0.006)
        assert max(found["classes"][3], found["adaptive"][3]) < found["full"][3]


@pytest.mark.parametrize(
    ("part", "contestants"),
    [("step", ["shipped", "plain loop", "nn.LSTM"]), ("cell", ["shipped", "plain loop"])],
)
def test_steps_and_cells_are_compared_with_their_plain_loop(
    bench: CommandLine, part: str, contestants: list[str]
) -> None:
    said = bench(*SMALL.split(), "--part", part)
    assert said.status == 0, said
    for name in contestants:
        assert any(line.startswith(name) for line in said.out.splitlines()), said.out


def test_half_precision_is_timed_in_whole_steps_only(bench: CommandLine) -> None:
    said = bench(*SMALL.split(), "--trainer.precision", "bf16-mixed")
    assert said.status == 0, said
    assert "bf16-mixed, softmax bfloat16" in said.out.splitlines()[0]
    refused = bench(*SMALL.split(), "--trainer.precision", "16-mixed", "--part", "cell")
    assert refused.status == 2
    assert "half precision is timed in whole steps on text only" in refused.err
