"""Drift: how seldom the alarms are false, how soon they are right, beside River's detectors."""
