"""Following jobs: long polls and server-sent events that hold no thread each."""
