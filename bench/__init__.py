"""Benches: bench/run calls the cases of bench/cases; bench/measure.py is what they measure with."""
