"""Presentation of jobs: documents, typical durations and links."""
