"""What a merged model is judged on: items, prompts, extraction, metrics."""
