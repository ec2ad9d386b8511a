"""ONNX files: read as a stream, weights never loaded; what both families of networks and of statistical models need."""
