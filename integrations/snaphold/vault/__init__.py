"""Where evidence rests, behind one port (base.py)."""
