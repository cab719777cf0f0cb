"""Notifications of operators: what happened, what is said of it, and the queue of each target."""
