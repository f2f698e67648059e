"""Streamlit pages over pure functions, submissions and the HTTP interface."""
