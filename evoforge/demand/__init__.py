"""What a run will need of memory, disk, time and GPUs, told from shapes."""
