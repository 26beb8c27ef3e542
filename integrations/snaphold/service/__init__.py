"""The service: every action of the catalogue over HTTP, with tokens, jobs, approvals and runs."""
