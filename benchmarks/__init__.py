"""Cost of the whole `netlint` process beside onnx's own loader and other checkers."""
