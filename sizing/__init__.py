"""Pure sizing core: scenario, candidates, estimate, verdict, cost, plan.

Same scenario and same catalogs give the same plan on any machine, with no network. Nothing here knows the screen.
"""
