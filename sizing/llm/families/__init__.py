"""One reader for each family of models: from the fields of its config.json to its architecture."""

from sizing.llm.families import deepseek, early, experts, gemma, hybrid, linear, llama, pruned, qwen
from sizing.llm.families.base import FAMILIES

__all__ = ["FAMILIES", "deepseek", "early", "experts", "gemma", "hybrid", "linear", "llama", "pruned", "qwen"]
