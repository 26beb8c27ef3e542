"""The playbook language snaphold/v1: model, loader, linter."""
