"""Anyone's nets as ONNX files."""
