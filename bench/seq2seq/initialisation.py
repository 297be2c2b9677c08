"""How the weights of a translation network begin.

`uniform` is I. Sutskever, O. Vinyals and Q. Le, 2014, section 3.4; `bahdanau` is D. Bahdanau,
K. Cho and Y. Bengio, 2015, appendix B.1, where recurrences follow their own option: for the paper's
`--model.init orthogonal --model.init-scale 0.01`.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from bench.models.recurrence import Recurrence


def initialise_(
    network: nn.Module, *, init: Literal["parts", "uniform", "bahdanau"], init_range: float
) -> None:
    """Draw the word vectors or, unless `init` is parts, every weight but the recurrences' anew.

    `uniform` draws these, too. The softmax's bias stays what it is but in `uniform`.
    """
    if init == "uniform":
        for parameter in network.parameters():
            nn.init.uniform_(parameter, -init_range, init_range)
        return
    if init == "parts":
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -init_range, init_range)
        return
    in_recurrences = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, Recurrence)
        for parameter in module.parameters()
    }
    for name, parameter in network.named_parameters():
        if id(parameter) in in_recurrences or name == "output.bias":
            continue
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 0.0, 0.001 if ".attention." in name else 0.01)
