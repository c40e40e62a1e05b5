"""The bundled miniature vision-language models: their pictures, their training and their check."""
