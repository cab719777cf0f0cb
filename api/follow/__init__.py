"""Following jobs: held polls and server-sent events without a thread for each."""
