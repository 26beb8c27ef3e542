"""The throw-away estate, the attacker and the telling of `snaphold demo`."""
