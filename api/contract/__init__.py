"""Declarations of endpoints: request and response models, fields, problems, pagination."""
