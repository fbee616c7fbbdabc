"""Kalman smoothing of poses: positions over time with the uncertainty that remains.

`walks` solves random walks with noisy observations, `fitting` finds how smooth they are, `scalar` is the
model of one camera, `views` that of several cameras without and `calibrated` with a calibration; `poses`
applies them to tables of poses.
"""
