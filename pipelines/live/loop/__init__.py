"""Loop: the life of a model on simulated time, from the first champion to a rollback, in a checkout and state root of
its own.
"""
