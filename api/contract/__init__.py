"""How an endpoint is declared: request and response models, problems, pagination."""
