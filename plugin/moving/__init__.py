"""Moving a catalog to another index under live traffic: recorded, leased, resumable, and with a way back."""
