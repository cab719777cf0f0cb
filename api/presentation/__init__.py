"""What users see of a job: its document, durations and links."""
