"""The gateway: Envoy with TLS, tokens and limits, between callers anywhere and servers that nobody else may reach.

What it does is plain data, written as files that Envoy reads; a changed file counts at once, without a restart.
"""
