"""Independent oracle for the canonical text of `agenttrace-v1`.

Reads one JSON document a line and answers one a line:

    canonical.py states   "<text of a jsonb as PostgreSQL prints it>"  ->  "<canonical text>"
    canonical.py events   {21 columns, states as such texts}           ->  {"preimage": ..., "hash": ...}

Sorting, escaping and separators are those of Python's own `json`. Floats keep their digits and get the layout of
`float.__repr__`; where a token is what Python itself would have written, that is checked against `repr`.
"""

import decimal
import hashlib
import json
import json.encoder
import sys

sys.setrecursionlimit(50_000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


class Float(float):
    """A float that remembers the token it was read from."""

    def __new__(cls, token):
        self = super().__new__(cls, token)
        self.token = token
        return self


def layout(number):
    value = decimal.Decimal(number.token)
    sign, digits, _ = value.as_tuple()
    exponent = value.adjusted()
    if value.is_zero() or -4 <= exponent < 16:
        text = format(value, "f")
    else:
        digits = "".join(map(str, digits))
        point = "." if len(digits) > 1 else ""
        text = f"{'-' if sign else ''}{digits[0]}{point}{digits[1:]}e{exponent:+03d}"
    python = float.__repr__(number)
    if python not in ("inf", "-inf"):
        written = decimal.Decimal(python)
        # The same value with the same number of digits: a token that Python's own float would have led to.
        if written == value and written.as_tuple().exponent == value.as_tuple().exponent:
            assert text == python, (number.token, text, python)
    return text


class Encoder(json.JSONEncoder):
    def iterencode(self, o, _one_shot=False):
        encode = json.encoder._make_iterencode(
            None, self.default, json.encoder.encode_basestring_ascii, None, layout, ": ", ", ", True, False, False
        )
        return encode(o, 0)


def dumps(value):
    return "".join(Encoder().iterencode(value))


def read(text):
    return json.loads(text, parse_float=Float)


def state(text):
    return dumps(read(text))


def event(columns):
    for name in ("previous_state", "new_state"):
        if columns[name] is not None:
            columns[name] = read(columns[name])
    assert len(columns) == 21 and "hash" not in columns
    preimage = dumps(columns)
    return {"preimage": preimage, "hash": hashlib.sha256(preimage.encode("utf-8")).hexdigest()}


answer = {"states": state, "events": event}[sys.argv[1]]
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
