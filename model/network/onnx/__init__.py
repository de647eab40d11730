"""Checks, wraps and runs ONNX networks; the only folder that imports `onnx` and ONNX Runtime, which are an extra."""
