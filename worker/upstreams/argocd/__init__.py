"""Argo CD: repositories, applications and syncs."""

from worker.upstreams.argocd.adapter import ADAPTER

__all__ = ["ADAPTER"]
