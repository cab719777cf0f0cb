"""Stand-in for Argo CD, with charts read from the stand-in for GitLab."""
