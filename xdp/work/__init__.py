"""How work is run: tasks with retries, their results on disk, cores and memory, and the options that say where."""
