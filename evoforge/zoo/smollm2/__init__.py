"""SmolLM2-135M-Instruct, and small adapters of our own for it: a real language model to merge."""
