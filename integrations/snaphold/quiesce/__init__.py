"""Application consistency behind one port (base.py); each neighbour is one adapter."""
