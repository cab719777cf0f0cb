"""GitLab: accounts, memberships, repositories, and their removal."""
