"""What would make a plan cheaper or faster: candidate changes of the scenario, each tried with a plan of its own."""

from sizing.advisor.evaluate import Advice, Outcome, advise
from sizing.advisor.path import PathStep, best_path

__all__ = ["Advice", "Outcome", "PathStep", "advise", "best_path"]
