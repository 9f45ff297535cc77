"""Who calls, and how often they may: the first two filters that a request meets."""

from __future__ import annotations

from pathlib import Path

from pipeline.gateway.extensions import Json, extension, type_url, watched
from pipeline.gateway.routes import page_paths

ISSUER = "seamline"
CALLER = "x-seamline-caller"
"""The header in which a request carries the name that its token is for, whatever the caller put there."""
MOST_CALLERS = 10_000
"""Callers whose rate is kept count of; of more, those that were not seen for longest are forgotten."""
TOKENS_KNOWN = 1000
"""Tokens, for each of Envoy's threads, whose signature was found good and is not checked again."""
_CHECK = "filters.http.jwt_authn.v3.JwtAuthentication"
_NAME = "tokens"


def token_filter(keys: Path) -> Json:
    """Where it is found: in a file of its own, so that no connection ends when keys change."""
    return {"name": _NAME, "config_discovery": {"config_source": watched(keys), "type_urls": [type_url(_CHECK)]}}


def token_check(public_keys: str) -> Json:
    """What is in that file, for a JWKS. A token counts in its header alone: an address is written into logs."""
    provider = {
        "issuer": ISSUER,
        "require_expiration": True,
        "local_jwks": {"inline_string": public_keys},
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "claim_to_headers": [{"header_name": CALLER, "claim_name": "sub"}],
        "payload_in_metadata": "token",
        "clock_skew_seconds": 5,
        "jwt_cache_config": {"jwt_cache_size": TOKENS_KNOWN},  # to check a signature takes 0.1 ms
    }
    # Whoever looks at the page has no token yet; it asks for one, and sends it with its questions.
    open_to_all = [{"match": {"path": path}} for path in page_paths()]
    rules = [*open_to_all, {"match": {"prefix": "/"}, "requires": {"provider_name": "caller"}}]
    return extension(_CHECK, _NAME, providers={"caller": provider}, rules=rules)


def rate_filter(rate: int) -> Json:
    """`rate` requests a second for each caller, and once in a while twice as many."""
    everyone = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    bucket = {"max_tokens": 2 * rate, "tokens_per_fill": rate, "fill_interval": "1s"}
    return extension(
        "filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="rate",
        filter_enabled=everyone,
        filter_enforced=everyone,
        rate_limits=[{"actions": [{"request_headers": {"header_name": CALLER, "descriptor_key": "caller"}}]}],
        # An entry without a value is one bucket for each value.
        descriptors=[{"entries": [{"key": "caller"}], "token_bucket": bucket}],
        max_dynamic_descriptors=MOST_CALLERS,
        rate_limited_as_resource_exhausted=True,
    )
