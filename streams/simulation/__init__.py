"""The simulator: a pipeline's own stages and protocol in worlds of seeded faults, on the twins.

One seed decides every interleaving, delay, crash and time-out of a world: no thread, no clock, no
socket. After each world everything is compared with the plain sequential fold over the same logs.
"""
