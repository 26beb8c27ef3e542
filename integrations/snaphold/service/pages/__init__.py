"""The web pages: what stands where, live progress, approvals, and the executive board. They work without JavaScript."""
