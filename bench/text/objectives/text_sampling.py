"""Texts drawn from a language model: each symbol from p(w | all before it).

Shapes: B texts, E embedding, H output of the recurrence, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bench.text.text_samples import TextSample, TextSamples, TextSamplesHeader

if TYPE_CHECKING:
    from bench.text.objectives.language_model import LanguageModel

NUM_TEXTS = 10
NUM_SYMBOLS = {"word": 40, "char": 200}


@torch.no_grad()
def draw_texts(
    model: LanguageModel, *, seed: int, num_texts: int = NUM_TEXTS, num_symbols: int | None = None
) -> TextSamples:
    """Draw texts from the start of a sentence on, by a random stream of their own.

    Nothing that training or evaluation reads is touched: neither the state that the model carries
    nor the global random streams.
    """
    corpus, was_training = model.corpus, model.training
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    last_B = torch.full((num_texts,), corpus.first_input, device=model.device)
    state, drawn = None, []
    for _ in range(num_symbols or NUM_SYMBOLS[corpus.unit]):
        y_BTH, state = model.recurrence(model.embedding(last_B[:, None]), state)
        log_p_BV = model.output.log_distribution(y_BTH[:, -1]).float().cpu()
        last_B = torch.multinomial(log_p_BV.exp(), 1, generator=generator)[:, 0].to(model.device)
        drawn.append(last_B.cpu())
    model.train(was_training)
    symbols, between = corpus.vocabulary.symbols, "" if corpus.unit == "char" else " "
    texts = [between.join(symbols[i] for i in row) for row in torch.stack(drawn, 1).tolist()]
    return TextSamples(
        header=TextSamplesHeader(drawn=f"from p(w | history), seed {seed}"),
        lines=[TextSample(text=text) for text in texts],
    )
