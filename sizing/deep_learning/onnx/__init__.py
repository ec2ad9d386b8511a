"""An ONNX file as somebody uploads it: read without its weights, its shapes inferred, its work and its memory counted."""
