"""Jenkins: accounts, roles, pipelines and builds."""

from worker.upstreams.jenkins.adapter import ADAPTER

__all__ = ["ADAPTER"]
