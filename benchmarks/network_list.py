"""Networks that benchmarks/trace_networks.py traces, built from their published configurations without weights.

Needs torch, torchvision, timm, transformers and diffusers (see there); the product and its tests do not read this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
import torchvision
import transformers as hf
from diffusers import AutoencoderKL, UNet2DConditionModel

PIXELS = "pixels a side"
IMAGE_PIXELS = "pixels a side of the image (latent side is 1/8)"
TOKENS = "tokens"
FRAMES = "mel frames of {} bins (10 ms each)"


@dataclass(frozen=True)
class Network:
    """One network: catalog id, how it is built and fed at a size, the sizes traced, and the catalog fields of a new row."""

    id: str
    build: Callable[[int], torch.nn.Module]
    inputs: Callable[[int], Any]
    sizes: tuple[int, ...]
    attention: bool = False
    prepare: Any = None
    row: dict[str, Any] = field(default_factory=dict)  # empty: the catalog has the row, only profiles are taken


def _image(size: int) -> tuple[torch.Tensor]:
    return (torch.empty(1, 3, size, size),)


def _tokens(size: int) -> dict[str, torch.Tensor]:
    ids = torch.ones(1, size, dtype=torch.int64)
    return {"input_ids": ids, "attention_mask": torch.ones(1, size, dtype=torch.int64)}


def _torchvision(name: str) -> Callable[[int], torch.nn.Module]:
    make = getattr(torchvision.models, name, None) or getattr(torchvision.models.segmentation, name)
    extra = (
        {"weights_backbone": None, **({} if "lraspp" in name else {"aux_loss": True})}
        if hasattr(torchvision.models.segmentation, name)
        else {}
    )
    return lambda _: make(weights=None, **extra)


def _timm(name: str, **more: Any) -> Callable[[int], torch.nn.Module]:
    def build(size: int) -> torch.nn.Module:
        try:
            return timm.create_model(name, pretrained=False, img_size=size, **more)
        except TypeError:
            return timm.create_model(name, pretrained=False, **more)

    return build


def _row(name: str, task: str, framework: str, kind: str, usual: int, unit: str, licence: str, shape: str, **more: Any) -> dict[str, Any]:  # fmt: skip
    fields = {"name": name, "task": task, "framework": framework, "input_shape": shape, "input_kind": kind,
              "input_default_size": usual, "input_unit": unit, "licence": licence}  # fmt: skip
    return fields | more


def _tv_row(name: str, task: str, usual: int) -> dict[str, Any]:
    return _row(name, task, "torchvision 0.29", "image", usual, PIXELS, "BSD-3", f"1x3x{usual}x{usual}")


def _encoder_row(name: str, task: str, usual: int, licence: str) -> dict[str, Any]:
    return _row(name, task, "transformers 5.23.0", "tokens", usual, TOKENS, licence, f"1x{usual} tokens")


BERT = {"vocab_size": 30522}
SMALL = {"hidden_size": 384, "intermediate_size": 1536}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
XLMR = {"vocab_size": 250002, "type_vocab_size": 1, "max_position_embeddings": 514, "pad_token_id": 1}


def _bert(**config: Any) -> Callable[[int], torch.nn.Module]:
    return lambda _: hf.BertModel(hf.BertConfig(**{**BERT, **config}))


def _cross_encoder(kind: str, **config: Any) -> Callable[[int], torch.nn.Module]:
    if kind == "bert":
        return lambda _: hf.BertForSequenceClassification(hf.BertConfig(**{**BERT, **config}, num_labels=1))
    return lambda _: hf.XLMRobertaForSequenceClassification(hf.XLMRobertaConfig(**{**XLMR, **config}, num_labels=1))


WHISPER = {  # layers, width, mel bins, vocabulary, decoder layers
    "tiny": (4, 384, 80, 51865, 4),
    "base": (6, 512, 80, 51865, 6),
    "small": (12, 768, 80, 51865, 12),
    "medium": (24, 1024, 80, 51865, 24),
    "large-v2": (32, 1280, 80, 51865, 32),
    "large-v3": (32, 1280, 128, 51866, 32),
    "large-v3-turbo": (32, 1280, 128, 51866, 4),
}


def _whisper(name: str) -> hf.WhisperModel:
    layers, width, bins, vocabulary, decoder = WHISPER[name]
    heads = width // 64
    return hf.WhisperModel(
        hf.WhisperConfig(
            vocab_size=vocabulary, num_mel_bins=bins, d_model=width, encoder_layers=layers, decoder_layers=decoder,
            encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
        )
    )  # fmt: skip


class _WhisperStep(torch.nn.Module):
    """One decoding step of Whisper: one new token, `past` tokens and 1,500 audio positions already in the cache."""

    def __init__(self, name: str) -> None:
        super().__init__()
        whole = _whisper(name)
        self.decoder, self.width = whole.decoder, whole.config.d_model
        self.head = torch.nn.Linear(self.width, whole.config.vocab_size, bias=False)
        self.head.weight = self.decoder.embed_tokens.weight  # tied
        self.cached_tensors: list[torch.Tensor] = []

    def forward(self, input_ids: torch.Tensor, past_key_values: Any, cache_position: torch.Tensor) -> torch.Tensor:
        hidden = torch.empty(1, 1500, self.width)
        out = self.decoder(
            input_ids=input_ids, encoder_hidden_states=hidden, past_key_values=past_key_values, use_cache=True
        )
        return self.head(out.last_hidden_state)


def _in_place(layer: Any, past: int) -> None:
    """Give a layer's cache room for one token more and write it there, as engines do, instead of copying the cache."""
    heads, size = layer.keys.shape[1], layer.keys.shape[3]
    layer.keys, layer.values = (torch.empty(1, heads, past + 1, size) for _ in range(2))

    def update(keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        layer.keys[:, :, past:].copy_(keys)
        layer.values[:, :, past:].copy_(values)
        return layer.keys, layer.values

    layer.update = update
    layer.get_seq_length = lambda *_: past


def _whisper_cache(module: _WhisperStep, arguments: dict[str, Any]) -> dict[str, Any]:
    past = int(arguments.pop("past"))
    cache = hf.EncoderDecoderCache(hf.DynamicCache(), hf.DynamicCache())
    hidden = torch.empty(1, 1500, module.width)
    module.decoder(
        input_ids=torch.ones(1, past, dtype=torch.int64),
        encoder_hidden_states=hidden,
        past_key_values=cache,
        use_cache=True,
    )
    for layer in cache.self_attention_cache.layers:
        _in_place(layer, past)
    module.cached_tensors = [
        tensor
        for part in (cache.self_attention_cache, cache.cross_attention_cache)
        for layer in part.layers
        for tensor in (layer.keys, layer.values)
    ]
    return {**arguments, "past_key_values": cache, "cache_position": torch.tensor([past])}


def _whisper_step(name: str) -> Network:
    row = _row(f"whisper-{name} decoder, one token", "speech recognition (one decoding step)", "transformers 5.23.0",
               "tokens", 224, "tokens already decoded", "Apache-2.0",
               "1 token, cache of 1500 audio positions", stage_only=True)  # fmt: skip
    return Network(f"whisper-{name}-decoder-step", lambda _: _WhisperStep(name),
                   lambda size: {"input_ids": torch.ones(1, 1, dtype=torch.int64), "past": size}, (64, 224, 447), True,
                   prepare=_whisper_cache, row=row)  # fmt: skip


class _WhisperEncoder(torch.nn.Module):
    """The encoder pass alone; parameters are the encoder's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.encoder = _whisper(name).encoder

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.encoder(features).last_hidden_state


def _whisper_encoder(name: str) -> Network:
    bins = WHISPER[name][2]
    row = _row(f"whisper-{name} encoder", "speech recognition (encoder)", "transformers 5.23.0", "audio", 3000,
               FRAMES.format(bins), "Apache-2.0", f"1x{bins}x3000 mel (30 s)", stage_only=True)  # fmt: skip
    return Network(
        f"whisper-{name}-encoder",
        lambda _: _WhisperEncoder(name),
        lambda _: (torch.empty(1, bins, 3000),),
        (3000,),
        True,
        row=row,
    )


CLIP_TEXT = {
    "clip-vit-base-patch32-text": (512, 12, 8, 2048, 512),
    "clip-vit-large-patch14-text": (768, 12, 12, 3072, 768),
    "openclip-vit-bigg-14-text": (1280, 32, 20, 5120, 1280),
}


def _clip_text(id: str) -> Network:
    width, layers, heads, inner, projection = CLIP_TEXT[id]
    config = hf.CLIPTextConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=inner,
                               projection_dim=projection, vocab_size=49408)  # fmt: skip
    row = _encoder_row(id.replace("-text", " text encoder"), "text encoder", 77, "MIT")
    # SDXL and SD 1.5 use the first encoder without its projection.
    return Network(id, lambda _: hf.CLIPTextModelWithProjection(config), lambda s: (torch.ones(1, s, dtype=torch.int64),),
                   (16, 32, 77), True, row=row)  # fmt: skip


def _clip_image(id: str, width: int, layers: int, heads: int, patch: int, projection: int) -> Network:
    def build(size: int) -> torch.nn.Module:
        return hf.CLIPVisionModelWithProjection(
            hf.CLIPVisionConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
                                intermediate_size=4 * width, patch_size=patch, image_size=size, projection_dim=projection)
        )  # fmt: skip

    row = _row(id.replace("-image", " image encoder"), "image embedding", "transformers 5.23.0", "image", 224, PIXELS, "MIT",
               "1x3x224x224")  # fmt: skip
    return Network(id, build, _image, (224, 336), True, row=row)


class _Decode(torch.nn.Module):
    """The decoding half of a variational autoencoder, 4 x size/8 x size/8 to an image; all its parameters stay on the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        )  # fmt: skip

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latent).sample


def _sdxl_unet(_: int) -> torch.nn.Module:
    return UNet2DConditionModel(
        sample_size=128, block_out_channels=(320, 640, 1280), cross_attention_dim=2048, attention_head_dim=(5, 10, 20),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )  # fmt: skip


def _sdxl_inputs(size: int) -> dict[str, Any]:
    return {
        "sample": torch.empty(1, 4, size // 8, size // 8), "timestep": torch.tensor([1.0]),
        "encoder_hidden_states": torch.empty(1, 77, 2048),
        "added_cond_kwargs": {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)},
    }  # fmt: skip


def _rtdetr(_: int) -> torch.nn.Module:
    return hf.RTDetrForObjectDetection(hf.RTDetrConfig(num_labels=80))


NEW = (
    Network("sdxl-unet", _sdxl_unet, _sdxl_inputs, (512, 768, 1024), True,
            row=_row("stable-diffusion-xl-base-1.0 UNet", "image generation (one denoising step)", "diffusers", "latent", 1024,
                     IMAGE_PIXELS, "CreativeML OpenRAIL++-M", "1x4x128x128 latent (1024x1024 image), 77 text tokens",
                     input_note="x steps (20-50), x2 with classifier-free guidance; plus text encoders and VAE")),
    Network("stable-diffusion-vae-decoder", lambda _: _Decode(), lambda s: (torch.empty(1, 4, s // 8, s // 8),), (256, 512, 768, 1024), True,
            row=_row("Stable Diffusion VAE decoder (SD 1.5 and SDXL)", "image generation (latent to image)", "diffusers", "latent",
                     1024, IMAGE_PIXELS, "CreativeML OpenRAIL-M", "1x4x128x128 latent (1024x1024 image)",
                     input_note="parameters include the encoder, which stays loaded")),
    *map(_clip_text, CLIP_TEXT),
    _clip_image("clip-vit-base-patch32-image", 768, 12, 12, 32, 512),
    _clip_image("clip-vit-large-patch14-image", 1024, 24, 16, 14, 768),
    *map(_whisper_encoder, WHISPER),
    *map(_whisper_step, WHISPER),
    Network("torchvision-resnet152", _torchvision("resnet152"), _image, (224, 320, 512), row=_tv_row("resnet152", "image classification", 224)),
    Network("torchvision-mobilenet_v2", _torchvision("mobilenet_v2"), _image, (224, 320, 512), row=_tv_row("mobilenet_v2", "image classification", 224)),
    Network("torchvision-efficientnet_b4", _torchvision("efficientnet_b4"), _image, (224, 380, 512), row=_tv_row("efficientnet_b4", "image classification", 380)),
    Network("torchvision-convnext_small", _torchvision("convnext_small"), _image, (224, 320, 512), row=_tv_row("convnext_small", "image classification", 224)),
    Network("torchvision-regnet_y_8gf", _torchvision("regnet_y_8gf"), _image, (224, 320, 512), row=_tv_row("regnet_y_8gf", "image classification", 224)),
    Network("timm-vit-base-patch14-dinov2-518", _timm("vit_base_patch14_dinov2"), _image, (224, 336, 518), True,
            row=_row("vit_base_patch14_dinov2", "image embedding", "timm 1.0.31", "image", 518, PIXELS, "code Apache-2.0; weights Apache-2.0", "1x3x518x518")),
    Network("rtdetr-r50vd", _rtdetr, _image, (512, 640, 800), True,
            row=_row("PekingU/rtdetr_r50vd", "object detection", "transformers 5.23.0", "image", 640, PIXELS, "Apache-2.0", "1x3x640x640")),
    Network("bge-base-en-v1.5", _bert(), _tokens, (64, 128, 256, 512), True, row=_encoder_row("BAAI/bge-base-en-v1.5", "text embedding", 512, "MIT")),
    Network("bge-small-en-v1.5", _bert(**SMALL), _tokens, (64, 128, 256, 512), True, row=_encoder_row("BAAI/bge-small-en-v1.5", "text embedding", 512, "MIT")),
    Network("bge-reranker-base", _cross_encoder("xlmr"), _tokens, (128, 256, 512), True, row=_encoder_row("BAAI/bge-reranker-base", "reranking", 512, "MIT")),
    Network("bge-reranker-v2-m3", _cross_encoder("xlmr", **{**LARGE, "max_position_embeddings": 8194}), _tokens, (128, 256, 512, 1024), True,
            row=_encoder_row("BAAI/bge-reranker-v2-m3", "reranking", 512, "Apache-2.0")),
    Network("ms-marco-minilm-l6-v2", _cross_encoder("bert", **SMALL, num_hidden_layers=6), _tokens, (64, 128, 256, 512), True,
            row=_encoder_row("cross-encoder/ms-marco-MiniLM-L6-v2", "reranking", 256, "Apache-2.0")),
    Network("hubert-base-ls960", lambda _: hf.HubertModel(hf.HubertConfig()), lambda s: (torch.empty(1, s),), (80000, 160000, 480000), True,
            row=_row("facebook/hubert-base-ls960", "speech features", "transformers 5.23.0", "audio", 160000, "samples at 16 kHz", "Apache-2.0", "1x160000 samples (10 s)")),
)  # fmt: skip

KNOWN = (
    Network("torchvision-resnet50", _torchvision("resnet50"), _image, (224,)),
    Network("torchvision-vgg16", _torchvision("vgg16"), _image, (224,)),
    Network("torchvision-densenet121", _torchvision("densenet121"), _image, (224,)),
    Network("torchvision-deeplabv3_resnet50", _torchvision("deeplabv3_resnet50"), _image, (520,)),
    Network("torchvision-fcn_resnet50", _torchvision("fcn_resnet50"), _image, (520,)),
    Network("torchvision-lraspp_mobilenet_v3_large", _torchvision("lraspp_mobilenet_v3_large"), _image, (520,)),
    Network("timm-resnet18-224", _timm("resnet18"), _image, (224,)),
    Network("timm-resnet50-224", _timm("resnet50"), _image, (224,)),
    Network("timm-resnet101-224", _timm("resnet101"), _image, (224,)),
    Network("timm-mobilenetv3-large-100-224", _timm("mobilenetv3_large_100"), _image, (224,)),
    Network("timm-efficientnet-b0-224", _timm("efficientnet_b0"), _image, (224,)),
    Network("timm-efficientnet-b3-288", _timm("efficientnet_b3"), _image, (288,)),
    Network("timm-efficientnetv2-s-384", _timm("efficientnetv2_s"), _image, (384,)),
    Network("timm-convnext-tiny-224", _timm("convnext_tiny"), _image, (224,)),
    Network("timm-convnext-base-224", _timm("convnext_base"), _image, (224,)),
    Network("timm-convnext-large-224", _timm("convnext_large"), _image, (224,)),
    Network("timm-vit-tiny-patch16-224-224", _timm("vit_tiny_patch16_224"), _image, (224,), True),
    Network("timm-vit-small-patch16-224-224", _timm("vit_small_patch16_224"), _image, (224,), True),
    Network("timm-vit-base-patch16-224-224", _timm("vit_base_patch16_224"), _image, (224,), True),
    Network("timm-vit-large-patch16-224-224", _timm("vit_large_patch16_224"), _image, (224,), True),
    Network("timm-deit-base-distilled-patch16-224-224", _timm("deit_base_distilled_patch16_224"), _image, (224,), True),
    Network("timm-swin-tiny-patch4-window7-224-224", _timm("swin_tiny_patch4_window7_224"), _image, (224,), True),
    Network("timm-swin-base-patch4-window7-224-224", _timm("swin_base_patch4_window7_224"), _image, (224,), True),
    Network("timm-eva02-large-patch14-448-448", _timm("eva02_large_patch14_448"), _image, (448,), True),
    Network("timm-vit-so400m-patch14-siglip-384", _timm("vit_so400m_patch14_siglip_384"), _image, (384,), True),
    Network("bert-base-uncased", _bert(), _tokens, (128, 512), True),
    Network("bert-large-uncased", _bert(**LARGE), _tokens, (384, 512), True),
    Network("all-minilm-l6-v2", _bert(**SMALL, num_hidden_layers=6), _tokens, (256,), True),
    Network("bge-large-en-v1.5", _bert(**LARGE), _tokens, (512,), True),
    Network("distilbert-base-uncased", lambda _: hf.DistilBertModel(hf.DistilBertConfig()), _tokens, (512,), True),
    Network("wav2vec2-base-960h", lambda _: hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config()), lambda s: (torch.empty(1, s),), (160000,), True),
    Network("stable-diffusion-v1-5-unet", lambda _: UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
            lambda s: (torch.empty(1, 4, s // 8, s // 8), torch.tensor([1.0]), torch.empty(1, 77, 768)), (512,), True),
    Network("segformer-b0-ade", lambda _: hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_labels=150)), _image, (512,), True),
)  # fmt: skip
"""Networks whose traces the catalog has already: their pass is repeated for the profile, and the figures must agree."""

NETWORKS = (*NEW, *KNOWN)
