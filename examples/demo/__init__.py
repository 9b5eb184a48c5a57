"""`make demo`: the seven patterns run at the same time, their engine is killed in the middle, and all of them finish."""
