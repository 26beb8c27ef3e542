"""What runs inside a SOAR's container: a thin client of the Snaphold service and the entry points of the platforms."""
