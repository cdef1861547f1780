"""Placeholder until the finish lands."""
