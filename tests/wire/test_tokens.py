import base64
import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import Unauthorized
from wire.tokens import ENGINE, LIFETIME_S, USER, TokenKeys

KEY = b"k" * 32
NOW = 1_800_000_000


class Clock:
    now = float(NOW)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(clock):
    return TokenKeys(KEY, clock=clock)


CLAIMS = {
    "iss": "watchkeeper", "aud": "engine", "sub": "E1", "jti": "j" * 22, "iat": NOW, "nbf": NOW, "exp": NOW + 900,
}  # fmt: skip
HEADER = {"alg": "HS256", "typ": "engine+jwt"}


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(claims=CLAIMS, header=HEADER, key=KEY, digest="sha256"):
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(key, signed.encode(), digest))}"


def refused(keys, token, audience=ENGINE, **options):
    with pytest.raises(Unauthorized) as caught:
        keys.verify(token, audience, **options)
    return caught.value.code


def test_an_issued_token_verifies(keys):
    issued = keys.issue_engine("E1")
    assert keys.verify(issued.token, ENGINE) == issued.claims
    assert (issued.claims.sub, issued.expires_in) == ("E1", LIFETIME_S)
    person = keys.issue_user("u1", username="지은", role="risk", auth_time=NOW, family="f", generation=3)
    claims = keys.verify(person.token, USER)
    assert (claims.username, claims.role, claims.auth_time, claims.family, claims.generation) == (
        "지은",
        "risk",
        NOW,
        "f",
        3,
    )


def test_the_hand_made_token_of_these_tests_is_sound(keys):
    assert keys.verify(forge(), ENGINE).sub == "E1"


def test_an_audience_does_not_open_the_other_door(keys):
    assert refused(keys, keys.issue_engine("E1").token, USER) == "error_token_invalid"
    assert refused(keys, keys.issue_user("u", username="u", role="admin", auth_time=NOW).token) == "error_token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["engine"]}, {"aud": "user"}, {"aud": None}, {"iss": "other"}, {"iss": ["watchkeeper"]},
        {"exp": "9999999999"}, {"exp": 1e30}, {"exp": NOW + 900.0}, {"exp": True}, {"exp": NOW + 3601},
        {"exp": NOW}, {"exp": NOW - 10}, {"exp": -1}, {"iat": NOW + 31, "exp": NOW + 900}, {"nbf": NOW + 31},
        {"iat": NOW - 7200, "exp": NOW + 10}, {"iat": "x"}, {"sub": 1}, {"sub": ""}, {"sub": "x" * 65}, {"sub": "a b"},
        {"jti": ""}, {"jti": 7}, {"role": 1}, {"generation": -1}, {"auth_time": "now"},
    ],
)  # fmt: skip
def test_claims_out_of_order_are_refused(keys, changes):
    assert refused(keys, forge({**CLAIMS, **changes})) == "error_token_invalid"


@pytest.mark.parametrize("missing", sorted(CLAIMS))
def test_every_claim_is_required(keys, missing):
    assert refused(keys, forge({k: v for k, v in CLAIMS.items() if k != missing})) == "error_token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "engine+jwt"}, {"alg": "nOnE", "typ": "engine+jwt"},
        {"alg": "HS512", "typ": HEADER["typ"]},
        {"alg": "hs256", "typ": "engine+jwt"}, {"alg": "EdDSA", "typ": "engine+jwt"}, {"typ": "engine+jwt"},
        {"alg": "HS256"}, {"alg": "HS256", "typ": "JWT"}, {"alg": "HS256", "typ": "user+jwt"},
        {**HEADER, "kid": "../../etc/passwd"}, {**HEADER, "crit": ["x"]}, {**HEADER, "b64": False, "crit": ["b64"]},
        {**HEADER, "jwk": {}}, {**HEADER, "x5u": "http://x"}, [], "x", None,
        b'{"alg":"HS256","alg":"none","typ":"engine+jwt"}',
        b"[" * 1000, b"\xff",
    ],
)  # fmt: skip
def test_only_one_header_is_accepted(keys, header):
    assert refused(keys, forge(header=header)) == "error_token_invalid"


def test_a_signature_of_another_algorithm_or_key_is_refused(keys):
    assert refused(keys, forge(key=b"x" * 32)) == "error_token_invalid"
    assert refused(keys, forge(digest="sha512")) == "error_token_invalid"
    assert refused(keys, forge().rsplit(".", 1)[0] + ".") == "error_token_invalid"
    assert (
        refused(keys, jwt.encode(CLAIMS, None, algorithm="none", headers={"typ": "engine+jwt"}))
        == "error_token_invalid"
    )


def test_duplicate_claims_are_refused(keys):
    body = json.dumps(CLAIMS)[:-1] + ',"sub":"E2"}'
    assert refused(keys, forge(body.encode())) == "error_token_invalid"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a" * 70_000, forge() + "\n", " " + forge(), forge({**CLAIMS, "x": "y" * 4000})]
)
def test_what_does_not_look_like_a_token_is_refused(keys, token):
    assert refused(keys, token) == "error_token_invalid"


def test_a_token_expires_after_its_life_leeway_and_grace(keys, clock):
    token = keys.issue_engine("E1").token
    clock.now = NOW + LIFETIME_S + 29.9
    assert keys.verify(token, ENGINE)
    assert refused(keys, token, leeway=0) == "error_token_expired"
    clock.now = NOW + LIFETIME_S + 30
    assert refused(keys, token) == "error_token_expired"
    clock.now = NOW + LIFETIME_S + 12 * 3600
    assert keys.verify(token, ENGINE, grace=12 * 3600)
    assert refused(keys, token, grace=11 * 3600) == "error_token_expired"


def test_a_replaced_key_still_verifies_but_no_longer_signs(keys, clock):
    replaced = TokenKeys(b"n" * 32, previous=(KEY,), clock=clock)
    assert replaced.verify(keys.issue_engine("E1").token, ENGINE).sub == "E1"
    assert refused(keys, replaced.issue_engine("E1").token) == "error_token_invalid"


def test_a_short_key_and_an_endless_token_are_refused_when_made(keys):
    with pytest.raises(ValueError, match="32"):
        TokenKeys(b"short")
    with pytest.raises(ValueError, match="lives"):
        keys.issue_engine("E1", lifetime=3601)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 5))
def test_no_single_changed_character_gets_through(position, bit):
    keys = TokenKeys(KEY, clock=Clock())
    token = forge()
    position %= len(token)
    changed = token[:position] + chr(ord(token[position]) ^ (1 << bit)) + token[position + 1 :]
    assert refused(keys, changed) == "error_token_invalid"


TOKEN_LIKE = st.from_regex(r"[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{43}", fullmatch=True)


@given(text=st.text(max_size=100) | TOKEN_LIKE)
def test_no_text_makes_verify_raise_anything_but_unauthorized(text):
    assert refused(TokenKeys(KEY, clock=Clock()), text) == "error_token_invalid"


def test_neither_keys_nor_tokens_show_in_repr(keys):
    issued = keys.issue_engine("E1")
    assert issued.token not in repr(issued)
    assert "kkkk" not in repr(keys)
