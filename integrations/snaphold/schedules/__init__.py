"""Backup schedules that are tightened while something is wrong, and that go back to what they were."""
