"""Rows of the deep learning models: traces of a network at one size, stages of a pipeline, and the model."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sizing.catalog_rows import AsOf, CatalogRow, Count, CountOrZero, Frozen, Positive, Text
from sizing.scenario_deep_learning import Attention

InputKind = Literal["image", "tokens", "audio", "video", "latent", "series"]


class Trace(Frozen):
    """Figures of one forward pass of one sample, fp32, eager PyTorch, by the lifetime of each storage.

    `size` has the unit of the model's `input_default_size`; `attention` is None for a model without attention.
    """

    size: Count
    attention: Attention | None = None
    params: Count
    macs: Count
    sum_activation_bytes_fp32: Count
    peak_live_bytes_fp32: Count
    input_bytes_fp32: Count
    buffers_bytes_fp32: CountOrZero
    operators: Count
    peak_at: Text
    source: Text
    as_of: AsOf


class PipelineStage(Frozen):
    """One network of a pipeline: runs for a request, inputs at once, and what it keeps of a sample while it repeats (keys
    and values of a decoder), a fixed part and a part for each repeat."""

    name: Text
    model: Text
    repeats: Literal["once", "steps", "output_tokens"] = "once"
    batch_factor: Count = 1
    precision: Literal["fp32"] | None = None
    size: Count | None = None  # its own fixed input size; None: that of the request
    state_bytes_fp32: CountOrZero = 0
    state_bytes_fp32_per_repeat: CountOrZero = 0


class DeepLearningModel(CatalogRow):
    """One deep learning model at its usual input, with the graph figures measured at one or more input sizes.

    A row with `stages` is a pipeline of other rows, with all their parameters; a `stage_only` row serves nobody by itself.
    """

    name: Text
    task: Text
    framework: Text
    params: Count
    gmacs: Positive | None = None
    input_shape: Text
    input_note: Text | None = None
    input_kind: InputKind
    input_default_size: Count
    input_unit: Text
    input_bytes_fp32_per_sample: Count  # token ids and masks are 8-byte integers whatever the precision
    activations_m: Positive | None = None  # millions of convolution and linear outputs, as timm counts them
    reference_rtx4090_amp_per_s: Positive | None = None
    reference_rtx5090_amp_per_s: Positive | None = None
    reference_rtx3090_amp_per_s: Positive | None = None
    reference_cpu_i9_10940x_fp32_per_s: Positive | None = None
    reference_batch: Count | None = None
    licence: Text
    params_check: Text | None = None
    traces: tuple[Trace, ...] = ()
    stages: tuple[PipelineStage, ...] = ()
    stage_only: bool = False
    usual_steps: Count | None = None
    usual_output_tokens: Count | None = None

    @model_validator(mode="after")
    def _pipelines_have_no_traces(self) -> DeepLearningModel:
        if self.stages and self.traces:
            raise ValueError("either stages or traces")
        for name, usual in (("steps", self.usual_steps), ("output_tokens", self.usual_output_tokens)):
            if (name in {stage.repeats for stage in self.stages}) != (usual is not None):
                raise ValueError(f"usual_{name} where a stage repeats by {name}, and only there")
        return self

    @model_validator(mode="after")
    def _one_trace_a_size(self) -> DeepLearningModel:
        if len({(t.size, t.attention) for t in self.traces}) < len(self.traces):
            raise ValueError("one trace for each size and attention")
        return self

    def weights_bytes(self, bytes_per_param: float) -> float:
        """Size of the weights [bytes]: parameters x bytes per parameter."""
        return self.params * bytes_per_param
