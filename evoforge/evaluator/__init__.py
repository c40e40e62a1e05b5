"""Back ends that answer a task's items with one candidate."""
