"""The doctor: checks of everything that the first job needs, without a write: `python -m worker.doctor`.

settings · database · broker                 checks of our own parts, one file each
`worker/upstreams/<name>/checks.py`          checks of the upstreams
catalogue                                    all checks, in groups
run                                          runs the groups side by side, within a time limit
report                                       what the operator reads
"""
