"""Is everything there that the first job needs?  Looked at without a write: `python -m worker.doctor`.

checks ── settings · database · broker · gitlab · jenkins · elasticsearch · argocd     one table a file
       ── rounds   who looks, side by side and in time        report   what the operator reads
"""
