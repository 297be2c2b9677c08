"""The decoder of a captioner from its options: a recurrence and what stands beside its words."""

from __future__ import annotations

from collections.abc import Mapping

from bench.captioning.network.options import CaptioningOptions
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.models import build_recurrence
from bench.models.recurrence import Recurrence
from bench.seq2seq.attention import Attention, Mean, build_attention
from bench.seq2seq.decoder import Decoder
from bench.seq2seq.readout import Kind, Readout


def build_decoder(
    model: Mapping[str, Scalar], options: CaptioningOptions, embedding_size: int, feature_size: int
) -> Decoder:
    """The recurrence with what stands beside its words."""
    hidden_size = int(model["hidden_size"] or 0)
    beside = options.image != "first"
    context_size = 0
    if beside:
        context_size = feature_size if options.image == "attention" else embedding_size
    enters = options.enters
    if enters == "usual":
        enters = "step" if options.image == "attention" else "readout"
    input_size = embedding_size + (context_size if enters == "step" else 0)
    recurrence = build_causal(model, input_size)
    output_size = recurrence.output_size
    attention: Attention | None = Mean(context_size) if beside else None
    if options.image == "attention":
        attention = build_attention(
            options.attention,
            output_size,
            context_size,
            hidden_size=options.attention_size or hidden_size,
        )
    readout: Kind = "multimodal" if beside else "linear"
    if options.readout != "usual":
        readout = options.readout
    usual = embedding_size if options.embeddings == "tied" else output_size
    size = options.readout_size or usual
    if readout == "linear" and not options.readout_size:
        size = output_size + context_size
    return Decoder(
        recurrence,
        attention,
        Readout(readout, output_size, context_size, embedding_size, size=size),
        attend="before" if enters == "step" else "after",
        feeding="none",
    )


def build_causal(model: Mapping[str, Scalar], input_size: int) -> Recurrence:
    """The recurrence of a configuration; BenchError for one that reads later words."""
    own = {key: value for key, value in model.items() if key != "name"}
    recurrence = build_recurrence(str(model["name"]), input_size, own)
    if not recurrence.is_causal:
        raise BenchError(
            f"a captioner may not read later words, {model['name']} with these options does: "
            "choose --model.direction forward"
        )
    return recurrence


def no_regions(what: str) -> str:
    """That features are a vector an image where a vector a region is needed."""
    return (
        f"{what} needs features by regions of an image, [regions, D] a row; these are one vector "
        "an image: choose others by --data.features"
    )
