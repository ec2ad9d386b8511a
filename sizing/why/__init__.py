"""Why this answer: how sure it is, what moves it, what binds, and what its words mean; for a plan of any family."""

from sizing.why.interval import AnswerInterval, answer_interval

__all__ = ["AnswerInterval", "answer_interval"]
