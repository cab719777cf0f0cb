"""Stand-in for GitLab, with real git repositories."""
