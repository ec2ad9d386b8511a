"""Catalog rows and live-bytes profiles from the passes that trace_networks.py wrote; to be run in the same environment.

    python benchmarks/trace_catalog.py traces.jsonl

Appends the networks that the catalog lacks, and the pipelines made of them, to catalogs/deep_learning_models.yaml, and writes
catalogs/deep_learning_live.yaml anew. A network that the catalog has already must show the same sum and peak as its trace;
where it does not, its profile is left out and that is said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from network_list import NETWORKS, WHISPER

CATALOGS = Path(__file__).resolve().parents[1] / "catalogs"
DATE = "2026-11-25"
SOURCE = "torch 2.14.1 storage-lifetime trace, own (benchmarks/trace_networks.py)"
PASS = "one pass by torch 2.14.1 under FakeTensorMode, built from the published configuration"


def trace_line(record: dict[str, Any]) -> str:
    """One trace as the catalog writes it."""
    attention = f"attention: {record['attention']}, " if record["attention"] else ""
    where = record["peak_at"] + (f" in {record['peak_module']}" if record["peak_module"] else "")
    return (
        f"    - {{size: {record['size']}, {attention}params: {record['params']}, macs: {record['macs']}, "
        f"sum_activation_bytes_fp32: {record['sum_bytes']}, peak_live_bytes_fp32: {record['peak_bytes']}, "
        f"input_bytes_fp32: {record['input_bytes']}, buffers_bytes_fp32: {record['buffers_bytes']}, "
        f'operators: {record["operators"]}, peak_at: "{where}", source: "{SOURCE}", as_of: {DATE}}}'
    )


def row_text(id: str, fields: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """A new row with its traces."""
    usual = [r for r in records if r["size"] == fields["input_default_size"]] or records[-1:]
    written = {
        "name": fields["name"], "task": fields["task"], "framework": fields["framework"], "params": usual[0]["params"],
        "gmacs": round(usual[0]["macs"] / 1e9, 3) or usual[0]["macs"] / 1e9,
        **{k: v for k, v in fields.items() if k not in ("name", "task", "framework", "licence")},
        "input_bytes_fp32_per_sample": usual[0]["input_bytes"], "licence": fields["licence"],
        "trust": "single_source", "source": PASS, "as_of": DATE,
    }  # fmt: skip
    lines = [f"- id: {id}", *(f"  {key}: {_scalar(value)}" for key, value in written.items()), "  traces:"]
    return "\n".join((*lines, *map(trace_line, records)))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, str) and any(c in value for c in ":#{}[],") else str(value)


def pipelines(params: dict[str, int]) -> list[str]:
    """Rows of pipelines: stages, the usual number of steps or tokens, and what a decoder keeps."""
    found = []

    def add(id: str, stages: list[str], **fields: Any) -> None:
        models = dict.fromkeys(stage.split("model: ")[1].split(",")[0].rstrip("}") for stage in stages)
        shown = {"id": id, **fields, "params": sum(params[m] for m in models), "trust": "single_source", "as_of": DATE}
        lines = [f"{'- ' if key == 'id' else '  '}{key}: {_scalar(value)}" for key, value in shown.items()]
        found.append("\n".join((*lines, "  stages:", *(f"    - {{{stage}}}" for stage in stages))))

    latent = {
        "task": "image generation (whole pipeline)", "framework": "diffusers pipeline", "input_kind": "latent",
        "input_unit": "pixels a side of the image", "input_bytes_fp32_per_sample": 1232, "usual_steps": 50,
        "source": "pipeline of diffusers: stages, guidance by twice the batch, 50 steps by default",
    }  # fmt: skip
    guided = "batch_factor: 2"
    add(
        "stable-diffusion-xl",
        [f"name: text encoder, model: clip-vit-large-patch14-text, size: 77, {guided}",
         f"name: second text encoder, model: openclip-vit-bigg-14-text, size: 77, {guided}",
         f"name: UNet, model: sdxl-unet, repeats: steps, {guided}",
         "name: VAE decoder, model: stable-diffusion-vae-decoder, precision: fp32"],
        name="Stable Diffusion XL, whole pipeline", input_shape="a prompt of 77 tokens, 1024x1024 image",
        input_default_size=1024, licence="CreativeML OpenRAIL++-M",
        input_note="the VAE runs in fp32 (its weights overflow in fp16)", **latent,
    )  # fmt: skip
    add(
        "stable-diffusion-v1-5",
        [f"name: text encoder, model: clip-vit-large-patch14-text, size: 77, {guided}",
         f"name: UNet, model: stable-diffusion-v1-5-unet, repeats: steps, {guided}",
         "name: VAE decoder, model: stable-diffusion-vae-decoder"],
        name="Stable Diffusion 1.5, whole pipeline", input_shape="a prompt of 77 tokens, 512x512 image",
        input_default_size=512, licence="CreativeML OpenRAIL-M", **latent,
    )  # fmt: skip
    for name, (_, width, bins, _, layers) in WHISPER.items():
        state, each = 2 * layers * 1500 * width * 4, 2 * layers * width * 4
        add(
            f"whisper-{name}-speech-to-text",
            [f"name: audio encoder, model: whisper-{name}-encoder, size: 3000",
             f"name: decoder, model: whisper-{name}-decoder-step, repeats: output_tokens, size: 224, "
             f"state_bytes_fp32: {state}, state_bytes_fp32_per_repeat: {each}"],
            name=f"whisper-{name}, 30 s of speech to text", task="speech recognition (whole pipeline)",
            framework="transformers pipeline", input_shape=f"1x{bins}x3000 mel (30 s)", input_kind="audio", input_default_size=3000,
            input_unit=f"mel frames of {bins} bins (10 ms each)", input_bytes_fp32_per_sample=bins * 3000 * 4,
            usual_output_tokens=100, licence="Apache-2.0",
            input_note="one 30 s window; keys and values of 1500 audio positions and of each token are kept; greedy decoding",
            source="Whisper: encoder once, decoder once a token; 100 tokens are about 30 s of English speech",
        )  # fmt: skip
    for size in ("base-patch32", "large-patch14"):
        add(
            f"clip-vit-{size}-both-towers",
            [f"name: image tower, model: clip-vit-{size}-image", f"name: text tower, model: clip-vit-{size}-text, size: 77"],
            name=f"clip-vit-{size}, both towers", task="image-text embedding (both towers)", framework="transformers pipeline",
            input_shape="1x3x224x224 and 77 tokens", input_kind="image", input_default_size=224, input_unit="pixels a side",
            input_bytes_fp32_per_sample=602112 + 616, licence="MIT", source="CLIP: one image and one text a request",
        )  # fmt: skip
    return found


def main(path: str) -> None:
    """Read the passes, extend the catalog, write the profiles."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for line in Path(path).read_text().splitlines():
        record = json.loads(line)
        by_id.setdefault(record["id"], []).append(record)
    models = CATALOGS / "deep_learning_models.yaml"
    rows = {row["id"]: row for row in yaml.load(models.read_text(), Loader=yaml.CSafeLoader)["rows"]}
    texts, live = [], []
    for network in NETWORKS:
        records = by_id.get(network.id, [])
        if not records:
            print(f"{network.id}: not traced", file=sys.stderr)
            continue
        if network.id not in rows:
            texts.append(row_text(network.id, network.row, records))
            usual = [r for r in records if r["size"] == network.row["input_default_size"]] or records[-1:]
            rows[network.id] = {"params": usual[0]["params"], "traces": []}
        known = {(t["size"], t.get("attention")): t for t in rows[network.id].get("traces", [])}
        for record in records:
            trace = known.get((record["size"], record["attention"]))
            if trace and (trace["sum_activation_bytes_fp32"], trace["peak_live_bytes_fp32"]) != (
                record["sum_bytes"], record["peak_bytes"],
            ):  # fmt: skip
                print(
                    f"{network.id} at {record['size']}: pass differs from the catalog's trace, left out",
                    file=sys.stderr,
                )
                continue
            key = f"{network.id}@{record['size']}" + (f"@{record['attention']}" if record["attention"] else "")
            shares = " ".join(map(str, record["live"]))
            live.append(
                f'"{key}": {{operators: {record["operators"]}, peak_at: "{record["peak_at"]}", '
                f'peak_in: "{record["peak_module"]}", live: "{shares}"}}'
            )
    params = {id: row["params"] for id, row in rows.items()}
    texts += [text for text in pipelines(params) if text.split("\n", 1)[0].removeprefix("- id: ") not in rows]
    if texts:
        models.write_text(models.read_text().rstrip("\n") + "\n\n" + "\n\n".join(texts) + "\n")
    (CATALOGS / "deep_learning_live.yaml").write_text(
        "# Live bytes over one forward pass (fp32, batch 1), by network, input size and attention: the most alive in each of at\n"
        "# most 48 equal shares of the operators, in per mille of the peak; which operator of which module is at the peak.\n"
        f"# Source: benchmarks/trace_networks.py, torch 2.14.1, {DATE}. Read only when the section is open.\n"
        + "\n".join(live) + "\n"
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
