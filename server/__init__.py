"""How do the API's processes get their requests?  Knows HTTP and gunicorn, nothing of Slipway."""
