"""Detectors as ONNX files, which judge a file by the boxes that they find again."""
