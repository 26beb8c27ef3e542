"""What is generated from the catalogue and from playbooks, as pure functions: models in, text out."""
