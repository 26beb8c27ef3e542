"""Stand-ins for vendor systems: real HTTPS servers on this machine, for exercises, training and tests."""
