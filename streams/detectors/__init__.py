"""Alarms' statistics: detectors on totals of tiles that keep a promise about false alarms."""
