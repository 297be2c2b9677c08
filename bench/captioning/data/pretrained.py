"""Features by torchvision's networks, where it is installed; weights only when asked for.

vgg16-fc7     the second hidden layer of VGG-16's classifier, after its ReLU [4096]
              (Simonyan and Zisserman, 2015), which the papers of 2015 read
resnet50      the mean over the last feature map of ResNet-50 [2048] (He et al., 2016)
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.captioning.data.extraction import Progress, folder_of, in_cache, kept
from bench.captioning.data.images import Images
from bench.captioning.data.store import FeatureStore
from bench.core.errors import BenchError
from bench.data.sources import Download

WEIGHTS = {"vgg16-fc7": "VGG16_Weights.IMAGENET1K_V1", "resnet50": "ResNet50_Weights.IMAGENET1K_V2"}


def pretrained(
    name: str,
    images: Images,
    cache: Path,
    *,
    task: str,
    weights: Download = "never",
    progress: Progress | None = None,
) -> FeatureStore:
    """The store from the cache, or made by the network where its weights are there.

    With `missing` the weights may be downloaded. Raises BenchError where torchvision, or without
    `missing` its weights, are not there.
    """
    recipe = f"{name}, torchvision {WEIGHTS[name]}, its transforms; 1"
    found = in_cache(name, folder_of(images, cache, recipe=recipe), recipe)
    if found is not None:
        return found
    network, transform = _network(name, task, weights)

    def extract(names: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            batch = torch.stack([transform(images(image)) for image in names])
            return np.asarray(network(batch).flatten(1).numpy(), np.float32)

    return kept(name, images, cache, recipe=recipe, extract=extract, progress=progress)


def _network(name: str, task: str, weights: Download) -> tuple[Any, Any]:
    """The network cut off behind the layer, and what it does to an image first."""
    try:
        models: Any = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:
        raise BenchError(
            f"the features {name!r} need torchvision, which cannot be imported ({error}): pip "
            f"install torchvision, then `bench data {task} --features {name} --fetch`"
        ) from None
    import torch

    chosen = models.get_weight(WEIGHTS[name])
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    if weights == "never" and not file.is_file():
        raise BenchError(
            f"the weights of {name} are not in {file.parent}: fetch them with `bench data {task} "
            f"--features {name} --fetch`"
        )
    if name == "vgg16-fc7":
        network = models.vgg16(weights=chosen)
        network.classifier = network.classifier[:5]
    else:
        network = models.resnet50(weights=chosen)
        network.fc = torch.nn.Identity()
    return network.eval(), chosen.transforms()
