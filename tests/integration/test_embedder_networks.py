"""Models of images: the packaged network, and models that have texts and images in one space."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodsim.embedder.encoder import BadItem, encode
from prodsim.embedder.images.networks import open_network
from prodsim.embedder.loading import open_encoder
from prodsim.embedder.settings import ModelSettings
from prodsim.plugin.errors import EmbedderError


def picture(seed: int, size: tuple[int, int] = (90, 70)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size)


def content(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_the_packaged_network_gives_what_its_own_library_gives() -> None:
    """Resized, cropped and normalised as it was trained: timm's configuration of it, read off here by hand."""
    import torch
    from torchvision import transforms  # type: ignore[import-untyped]

    encoder = open_encoder(ModelSettings(kind="image", threads=2))
    pictures = [picture(number, (300 + 40 * number, 260)) for number in range(3)]
    prepare = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    module = open_network(None, None).module
    with torch.inference_mode():
        maps = module.forward_features(torch.stack([prepare(one) for one in pictures]))
    expected = maps.mean(dim=(2, 3)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    got = encode(encoder, [content(one) for one in pictures], "passage").vectors
    assert got == pytest.approx(expected, abs=1e-4)
    assert encoder.card.dimension == 1280
    assert encoder.card.modalities == ("image",)
    with pytest.raises(BadItem, match="is a text"):
        encode(encoder, [content(pictures[0]), "warm jacket"], "query")


@pytest.mark.parametrize(("model", "says"), [("timm:no_such_net", "can't be loaded"), ("torchvision:nope", "can't be")])
def test_a_network_that_there_is_not_is_said_in_one_line(model: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=says) as caught:
        open_encoder(ModelSettings(kind="image", model=model))
    assert "\n" not in str(caught.value)


def test_a_torchvision_network_runs_on_weights_from_a_file(tmp_path: Path) -> None:
    import torch
    from torchvision.models import mobilenet_v3_small  # type: ignore[import-untyped]

    weights = tmp_path / "weights.pth"
    torch.save(mobilenet_v3_small(weights=None).state_dict(), weights)
    encoder = open_encoder(ModelSettings(kind="image", model="torchvision:mobilenet_v3_small", weights=weights))
    vectors = encode(encoder, [content(picture(1)), content(picture(2))], "passage").vectors
    assert vectors.shape == (2, 1024)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of CLIP's kind with random weights, as sentence-transformers saves one."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPProcessor, CLIPTokenizer
    from transformers import CLIPModel as Clip

    parts = tmp_path_factory.mktemp("parts")
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(chr(33 + n) for n in range(94)),
        *(f"{chr(33 + n)}</w>" for n in range(94)),
    ]
    (parts / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (parts / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(parts / "vocab.json"), str(parts / "merges.txt"), model_max_length=77)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": len(words), "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1},
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    Clip(config).save_pretrained(parts)
    size = {"shortest_edge": 32}
    processor = CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, tokenizer).save_pretrained(parts)  # type: ignore[no-untyped-call]
    folder = tmp_path_factory.mktemp("clip")
    SentenceTransformer(modules=[CLIPModel(str(parts))]).save_pretrained(str(folder))
    return folder


def test_texts_and_images_of_a_clip_like_model_are_in_one_space(clip: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = open_encoder(ModelSettings(kind="image", model=str(clip), backend="auto"))
    assert encoder.card.modalities == ("text", "image")
    items: list[str | bytes] = ["a red dress", content(picture(1)), "boots", content(picture(2))]
    got = encode(encoder, items, "query").vectors
    whole = SentenceTransformer(str(clip), device="cpu")
    texts = whole.encode(["a red dress", "boots"], normalize_embeddings=True)
    images = whole.encode([picture(1), picture(2)], normalize_embeddings=True)  # type: ignore[list-item,unused-ignore]
    assert got[[0, 2]] == pytest.approx(texts, abs=1e-5)
    assert got[[1, 3]] == pytest.approx(images, abs=1e-5)
    with pytest.raises(BadItem) as caught:
        encode(encoder, ["a", content(picture(1)), b"no image"], "query")
    assert caught.value.position == 2


def test_a_text_that_looks_like_a_file_or_a_url_stays_a_text(clip: Path, tmp_path: Path) -> None:
    """sentence-transformers would open the one and fetch the other."""
    secret = tmp_path / "secret.png"
    picture(1).save(secret)
    texts = [str(secret), "http://127.0.0.1:9/a.png", "data:image/png;base64,AAAA"]
    for kind in ("image", "text"):
        encoder = open_encoder(ModelSettings.model_validate({"kind": kind, "model": str(clip)}))
        vectors = encode(encoder, texts, "query").vectors
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
        if kind == "image":
            seen = encode(encoder, [content(picture(1))], "query").vectors
            assert abs(float(vectors[0] @ seen[0])) < 0.99


def test_a_model_of_texts_is_no_model_of_images() -> None:
    with pytest.raises(EmbedderError, match="takes text, not image"):
        open_encoder(ModelSettings(kind="image", model=str(packaged())))


def packaged() -> Path:
    from prodsim.embedder.model_files import packaged_model_folder

    return packaged_model_folder()
