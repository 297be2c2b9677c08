"""A captioner, from an image's features to log-probabilities of words, and its alignments.

    p(y | I) = prod_t p(y_t | y_<t, I), the end </s> the last y

    first       x_0 = W f, x_t = E y_{t-1}: the image is the step before the words, and never seen
                again    O. Vinyals, A. Toshev, S. Bengio and D. Erhan, 2015, equations 10 and 11
    every-word  W f is beside every word: in the readout (J. Mao et al., m-RNN, 2015) or in the
                recurrence's input as well
    attention   c_t = sum_k a_tk f_k of its regions is beside every word, the state begins as
                tanh(W mean_k f_k + b)    K. Xu et al., 2015, soft attention

f are the features after scaling. Where they come by regions, `first` and `every-word` read their
mean.

Shapes: B captions, R regions, D features, E embedding, T words, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import torch
from torch import Tensor, nn

from bench.captioning.network.options import CaptioningOptions, Scale
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.core.record import write_atomically
from bench.layers.full import FullSoftmax
from bench.layers.products import Products
from bench.models import build_recurrence
from bench.seq2seq.attention import Attention, Mean, Memory, build_attention
from bench.seq2seq.decoder import (
    Bridge,
    Decoder,
    DecoderOutput,
    DecoderState,
    Kind,
    Readout,
    initialise_,
)
from bench.seq2seq.writer import Sources, Writer


def build_decoder(
    model: Mapping[str, Scalar], options: CaptioningOptions, embedding_size: int, feature_size: int
) -> Decoder:
    """Decoder of a configuration; BenchError for a recurrence that reads later words."""
    attends, beside = options.image == "attention", options.image != "first"
    context_size = feature_size if attends else embedding_size if beside else 0
    enters = options.enters
    if enters == "usual":
        enters = "step" if attends else "readout"
    own = {key: value for key, value in model.items() if key != "name"}
    input_size = embedding_size + (context_size if enters == "step" else 0)
    recurrence = build_recurrence(str(model["name"]), input_size, own)
    if not recurrence.is_causal:
        raise BenchError(
            f"a captioner may not read later words, {model['name']} with these options does: "
            "choose --model.direction forward"
        )
    output_size = recurrence.output_size
    attention: Attention | None = Mean(context_size) if beside else None
    if attends:
        attention = build_attention(
            options.attention,
            output_size,
            context_size,
            hidden_size=options.attention_size or int(model["hidden_size"] or 0),
        )
    readout: Kind = "multimodal" if beside else "linear"
    if options.readout != "usual":
        readout = options.readout
    usual = embedding_size if options.embeddings == "tied" else output_size
    if readout == "linear":
        usual = output_size + context_size
    size = options.readout_size or usual
    return Decoder(
        recurrence,
        attention,
        Readout(readout, output_size, context_size, embedding_size, size=size),
        attend="before" if enters == "step" else "after",
        feeding="none",
    )


def no_regions(option: str) -> BenchError:
    """Error of an option that needs features by regions where they are one vector an image."""
    return BenchError(
        f"{option} needs features by regions of an image, [regions, D] a row; these are one vector "
        "an image: choose others by --data.features"
    )


class CaptionNetwork(Writer):
    """Captioner with any causal recurrence.

    `feature_shape` is [D] or [R, D]; `counts_V` are the training counts of the words. Raises
    BenchError for a recurrence that reads later words, for attention over features without regions
    and for sizes that do not match.
    """

    def __init__(
        self,
        model: Mapping[str, Scalar],
        options: CaptioningOptions,
        *,
        feature_shape: tuple[int, ...],
        counts_V: Tensor,
        products: Products = "float32",
    ) -> None:
        super().__init__()
        self.options = options
        self.dropout_words = options.dropout_words
        self.dropout_readout = options.dropout_output
        self.dropout_mask = options.dropout_mask
        self.feature_shape = feature_shape
        embedding_size = options.embedding_size or int(model["hidden_size"] or 0)
        self.scale = Scale(options.scaling, feature_shape[-1])
        self.embedding = nn.Embedding(len(counts_V), embedding_size)
        self.image: nn.Linear | None = None
        self.image_layer: nn.Linear | None = None
        if options.image != "attention":
            num_seen = options.image_hidden or feature_shape[-1]
            if options.image_hidden:
                self.image_layer = nn.Linear(feature_shape[-1], num_seen)
            self.image = nn.Linear(num_seen, embedding_size)
        elif len(feature_shape) != 2:
            raise no_regions("objective.image attention")
        self.decoder = build_decoder(model, options, embedding_size, feature_shape[-1])
        self.bridge: Bridge | None = None
        if options.image == "attention":
            self.bridge = Bridge("mean", _Regions(feature_shape[-1]), self.decoder.recurrence)
        self.output = FullSoftmax(
            self.decoder.readout.size,
            counts_V,
            output_bias=options.output_bias,
            products=products,
            evaluation_products="float32",
        )
        initialise_(self, init="parts", init_range=options.init_range)
        if options.embeddings == "tied":
            self.tie_output()

    # Reading ------------------------------------------------------------------------------------

    def encode(self, *source: Tensor) -> tuple[Memory, DecoderState]:
        """Memory of the image beside every word, and the state before the first word."""
        feature_BD, memory, carried = self._look(*source)
        if self.options.image == "first":
            _, carried = self.decoder.step(feature_BD, memory, carried)
        return memory, carried

    def decode_source(self, source: Sources, input_BT: Tensor) -> DecoderOutput:
        """Outputs after each word; an image that comes first is a step of the same scan."""
        image_BE, memory, carried = self._look(*source)
        if self.options.image != "first":
            return self.decode(input_BT, memory, carried)
        word_BTE = self.drop(self.embedding(input_BT), self.dropout_words)
        x_BTE = torch.cat([image_BE[:, None], word_BTE], dim=1)
        reading: DecoderOutput = self.decoder(x_BTE, memory, carried)
        return DecoderOutput(reading.readouts[:, 1:], None)

    def _look(self, feature_BD: Tensor) -> tuple[Tensor, Memory, DecoderState]:
        """Vectors of the image, attention's memory of them, the recurrence's first state."""
        feature_BD = self.scale(feature_BD)
        if self.image is not None:
            seen_BD = feature_BD.mean(1) if feature_BD.dim() == 3 else feature_BD
            if self.image_layer is not None:
                seen_BD = torch.tanh(self.image_layer(seen_BD))
            seen_BRE = self.image(seen_BD)[:, None]
        else:
            seen_BRE = feature_BD
        seen_BRE = self.drop(seen_BRE, self.options.dropout_image)
        valid_BR = torch.ones(seen_BRE.shape[:2], dtype=torch.bool, device=seen_BRE.device)
        if self.bridge is not None:
            state = self.bridge(seen_BRE, (), valid_BR.sum(1))
        else:
            state = self.decoder.recurrence.initial_state(len(seen_BRE), seen_BRE)
        carried = self.decoder.begin(state, seen_BRE)
        attention = self.decoder.attention
        if attention is None:
            empty_B00 = seen_BRE[:, :0, :0]
            return seen_BRE[:, 0], Memory(empty_B00, empty_B00, valid_BR[:, :0]), carried
        return seen_BRE[:, 0], attention.build_memory(seen_BRE, valid_BR), carried

    # Cost ---------------------------------------------------------------------------------------

    def flops_per_word(self) -> float:
        """Forward floating-point operations a word, matrix products only."""
        num_regions = self.feature_shape[0] if self.options.image == "attention" else 1
        return self.decoder.flops_per_step(num_regions) + self.output.flops_per_token()

    def flops_per_image(self) -> float:
        """Forward floating-point operations for an image, once a caption."""
        of_bridge = None if self.bridge is None else self.bridge.affine
        layers = [layer for layer in (self.image_layer, self.image, of_bridge) if layer is not None]
        flops = 2.0 * sum(layer.weight.numel() for layer in layers)
        if self.options.image == "first":
            flops += self.decoder.recurrence.flops_per_step()
        elif (attention := self.decoder.attention) is not None and self.bridge is not None:
            flops += self.feature_shape[0] * attention.flops_per_word()
        return flops


class _Regions:
    """Features of regions in the form of an encoder, as a bridge needs it."""

    state_shapes: tuple[tuple[int, ...], ...] = ()
    backward_size = 0

    def __init__(self, annotation_size: int) -> None:
        self.annotation_size = annotation_size


class WordRegions(msgspec.Struct, frozen=True, kw_only=True):
    """A region of the image for each word of a caption, counted from 0, a line of

        alignments-test.jsonl    {"image": ..., "words": [...], "regions": [...], "weights": [...]}

    Of a captioner with attention: the region that each word attended to most, and its weight. Of a
    ranking network over regions: the region with the largest product for each word of a reference
    (A. Karpathy and L. Fei-Fei, 2015), and the product.
    """

    image: str
    words: tuple[str, ...]
    regions: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(
        cls, image: str, words: Sequence[str], regions: Sequence[int], weights: Sequence[float]
    ) -> Self:
        """Alignment of the words alone; regions and weights go on over an end and padding."""
        size = len(words)
        return cls(
            image=image,
            words=tuple(words),
            regions=tuple(regions[:size]),
            weights=tuple(round(weight, 5) for weight in weights[:size]),
        )


def alignments_path(folder: Path, split: str) -> Path:
    """File of the alignments of a split."""
    return folder / f"alignments-{split}.jsonl"


def write_alignments(folder: Path, split: str, lines: Sequence[WordRegions]) -> None:
    """Write the alignments of a split."""
    encoded = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    write_atomically(alignments_path(folder, split), encoded)
