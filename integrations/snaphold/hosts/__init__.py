"""Where commands run, behind one port (base.py)."""
