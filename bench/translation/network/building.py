"""A decoder from the options: its recurrence, attention and readout, with sizes that match."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.models import Arrangement, build_recurrence, model_options
from bench.seq2seq.attention import build_attention
from bench.seq2seq.decoder import Decoder
from bench.seq2seq.options import NetworkOptions
from bench.seq2seq.readout import Readout


def build_decoder(
    model: Mapping[str, Scalar],
    options: NetworkOptions,
    *,
    embedding_size: int,
    annotation_size: int,
) -> Decoder:
    """The decoder beside an encoder of the configuration `model`.

    Raises BenchError for a recurrence that reads what is yet to come, and for options that do not
    go together.
    """
    name, own = decoder_options(model, options)
    hidden_size = int(own["hidden_size"] or 0)
    context_size = 0 if options.attention == "none" else annotation_size
    usual = hidden_size if options.embeddings == "separate" else embedding_size
    readout_size = options.readout_size or usual
    input_size = embedding_size
    if options.attend == "before":
        input_size += context_size
    if options.feeding == "readout":
        _check_feeding(options)
        input_size += readout_size
    recurrence = build_recurrence(name, input_size, own)
    if not recurrence.is_causal:
        raise BenchError(f"a decoder may not read later words, {name} with these options does")
    output_size = recurrence.output_size
    if options.readout == "linear" and not options.readout_size:
        readout_size = output_size + context_size
    return Decoder(
        recurrence,
        build_attention(
            options.attention,
            output_size,
            annotation_size,
            hidden_size=options.attention_size or hidden_size,
        ),
        Readout(options.readout, output_size, context_size, embedding_size, size=readout_size),
        attend=options.attend,
        feeding=options.feeding,
    )


def _check_feeding(options: NetworkOptions) -> None:
    if options.attend == "before" and options.attention != "none":
        raise BenchError(
            "objective.feeding readout belongs to --objective.attend after: with `before` a step "
            "reads its context already"
        )
    if options.readout == "linear":
        raise BenchError(
            "objective.feeding readout has nothing to feed but what the step knows: choose "
            "--objective.readout tanh or maxout"
        )


def decoder_options(
    model: Mapping[str, Scalar], options: NetworkOptions
) -> tuple[str, dict[str, Scalar]]:
    """Name and options of the decoder's recurrence: the encoder's own where it has them."""
    encoder = str(model["name"])
    name = encoder if options.decoder_model == "same" else options.decoder_model
    known = set(model_options(name).__struct_fields__)
    shared = known if name == encoder else {*Arrangement.__struct_fields__, "hidden_size"}
    own = {key: value for key, value in model.items() if key in shared & known}
    own["direction"] = "forward"
    if options.decoder_size:
        own["hidden_size"] = options.decoder_size
    if options.decoder_layers:
        own["num_layers"] = options.decoder_layers
    return name, own
