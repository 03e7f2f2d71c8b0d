"""What explanations are made of: `results` (why a result is where it is), `plans` (what a plan will send), `plot` (a picture).

Nothing here knows a strategy: each kind explains its own results, in `Strategy.explain`.
"""
