"""Eyes on what serves: a page for Prometheus, and where there is no Docker, Prometheus and Alertmanager themselves."""
