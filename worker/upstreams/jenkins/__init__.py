"""Jenkins: accounts, roles, pipelines and builds."""
