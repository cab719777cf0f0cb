"""How does the API listen?  Read by `gunicorn 'api:create_app()'` when started here; command-line options win."""

worker_class = "gthread"
workers = 2
threads = 8
timeout = 30
graceful_timeout = 30
max_requests = 20_000
max_requests_jitter = 2_000
limit_request_line = 4094
limit_request_fields = 50
control_socket_disable = True  # it would open a socket in the home directory
