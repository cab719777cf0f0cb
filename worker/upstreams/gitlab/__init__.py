"""GitLab: accounts, groups and repositories."""

from worker.upstreams.gitlab.adapter import ADAPTER

__all__ = ["ADAPTER"]
