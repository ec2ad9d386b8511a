"""Headers of checkpoint files, read without their data: safetensors and its index, and GGUF."""
