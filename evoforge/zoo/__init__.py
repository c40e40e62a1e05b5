"""The bundled miniature models: their problems, their training and their check."""
