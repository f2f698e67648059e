"""Watermarks, anonymisation, refusal, provenance, consent and the audit report."""
