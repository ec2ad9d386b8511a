"""Files of statistical models: read as data, bounded, nothing run; from XGBoost, LightGBM, scikit-learn (skops) and ONNX."""
