"""The failover drill: real workers on a throw-away database, killed while they work."""
