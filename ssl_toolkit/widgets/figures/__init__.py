"""Plotly figures from plain records, for panels and notebooks."""
