"""Stand-in for Jenkins, with a queue, executors and consoles."""
