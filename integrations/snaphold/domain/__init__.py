"""Value objects: incident, asset, tier, plan, restore point, hold, grant, approval, outcome. No effects in here."""
