#!/usr/bin/env python3
"""Verifies an AgentTrace evidence bundle without AgentTrace, a database or a network.

    verify_bundle.py BUNDLE [--trust KEY]... [--tsa PEM] [--json]

Python 3.11 or newer, standard library only. Ed25519 needs the package `cryptography`; without it signatures are "not shown",
and said so. With --tsa, time stamps are verified by the program `openssl`. The format is docs/reference/evidence.md. Exit: 0 all claims shown, 1 one fails or the file is no bundle, 3 it
cannot be read, 4 one is not shown.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

MAGIC, TRAIL, SEAL = "agenttrace-evidence/1", "agenttrace-trail/1", "agenttrace-evidence-seal/1"
LONGEST_LINE, LONGEST_HEADER, MOST_LINES = (32 << 20) + (8 << 10), 8 << 20, 300
MOST_LEAVES, MOST_PROOF, MOST_HEADS, MOST_VALUES = 1024, 65, 1000, 10_000
SHOWN, NOT_SHOWN, FAILS = "shown", "not_shown", "fails"
sys.setrecursionlimit(20_000)


class Malformed(Exception):
    """The file is no bundle."""


def need(condition, what):
    if not condition:
        raise Malformed(what)


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def leaf(data):
    return sha256(b"\0", data)


def parent(left, right):
    return sha256(b"\1", left, right)


class Peaks:
    """The complete subtrees of a tree (RFC 6962, section 2.1), the largest first."""

    def __init__(self, size, nodes):
        self.size, self.nodes = size, nodes

    def push(self, node):
        at = self.size
        while at & 1:
            node = parent(self.nodes.pop(), node)
            at >>= 1
        self.nodes.append(node)
        self.size += 1

    def root(self):
        if not self.nodes:
            return sha256()
        node = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            node = parent(left, node)
        return node


def includes(node, index, size, proof, root):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    own, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if own & 1 or own == last:
            node = parent(sibling, node)
            while own & 1 == 0 and own != 0:
                own, last = own >> 1, last >> 1
        else:
            node = parent(node, sibling)
        own, last = own >> 1, last >> 1
    return last == 0 and node == root


def number(text):
    need(re.fullmatch(r"0|[1-9][0-9]{0,19}", text) and int(text) < 1 << 64, "a number has another form")
    return int(text)


def unbase64(text):
    try:
        plain = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("base64 is expected") from None
    need(base64.b64encode(plain).decode() == text, "base64 has another spelling")
    return plain


def nodes(text, most):
    if text == "-":
        return []
    plain = unbase64(text)
    need(plain and len(plain) % 32 == 0 and len(plain) // 32 <= most, "nodes have another form")
    return [plain[at : at + 32] for at in range(0, len(plain), 32)]


def escape(text):
    return urllib.parse.quote(text, safe="._~-")


def unescape(text):
    try:
        plain = urllib.parse.unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Malformed("an escaped text has another form") from None
    need(escape(plain) == text, "an escaped text has another spelling")
    return plain


def instant(text):
    """RFC 3339 with six digits of a fraction and Z."""
    need(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", text), "a time has another form")
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("a time has another form") from None


def hash_of(text):
    need(re.fullmatch(r"[0-9a-f]{64}", text), "a hash has another form")
    return bytes.fromhex(text)


def is_name(name):
    plain = all(not c.isspace() and c != "+" and not (ord(c) < 32 or 127 <= ord(c) < 160) for c in name)
    return 0 < len(name.encode()) <= 255 and plain


class Key:
    """A public key: NAME+ID+BASE64."""

    def __init__(self, text):
        parts = text.split("+", 2)
        need(len(parts) == 3 and is_name(parts[0]) and re.fullmatch(r"[0-9a-f]{8}", parts[1]), "not a key")
        plain = unbase64(parts[2])
        need(len(plain) == 33 and plain[0] == 1, "not an Ed25519 key")
        self.name, self.id, self.bytes = parts[0], bytes.fromhex(parts[1]), plain[1:]
        need(sha256(self.name.encode() + b"\n" + plain)[:4] == self.id, "the id of a key is that of another one")

    def __eq__(self, other):
        return (self.name, self.bytes) == (other.name, other.bytes)

    def verifies(self, signature, text):
        try:
            Ed25519PublicKey.from_public_bytes(self.bytes).verify(signature, text)
            return True
        except (InvalidSignature, ValueError):
            return False


class BadSignature(Exception):
    """A signature claims to be by a key and is not."""


class Note:
    """A C2SP signed note."""

    def __init__(self, plain):
        need(len(plain) <= 1_000_000, "a note is too long")
        try:
            whole = plain.decode()
        except UnicodeDecodeError:
            raise Malformed("a note is not UTF-8") from None
        at = whole.rfind("\n\n")
        need(at >= 0, "a note has no signatures")
        self.text, lines = whole[: at + 1], whole[at + 2 :]
        need(self.text != "\n" and not any(c < " " and c != "\n" for c in self.text), "the text of a note has another form")
        need(len(self.text.encode()) <= 500_000, "the text of a note is too long")
        need(lines.endswith("\n"), "the last line of a note has no end")
        self.signatures = []
        for line in lines[:-1].split("\n"):
            parts = line.split(" ")
            need(len(parts) == 3 and parts[0] == "\u2014" and is_name(parts[1]), "a signature has another form")
            signature = unbase64(parts[2])
            need(len(signature) > 4, "a signature has another form")
            self.signatures.append((parts[1], signature[:4], signature[4:]))
        need(len(self.signatures) <= 100, "a note has too many signatures")

    def signed_by(self, keys):
        found = []
        for name, key_id, signature in self.signatures:
            key = next((key for key in keys if (key.name, key.id) == (name, key_id)), None)
            if key is None:
                continue
            if len(signature) != 64 or not key.verifies(signature, self.text.encode()):
                raise BadSignature(f"the signature of the key '{name}' is not one of this text")
            if key not in found:
                found.append(key)
        return found


class Checkpoint:
    """Three lines: origin, size, root."""

    def __init__(self, lines):
        need(len(lines) == 3, "a checkpoint has three lines")
        self.lines = lines
        self.origin, self.size, self.root = lines[0], number(lines[1]), unbase64(lines[2])
        need(len(self.root) == 32, "a root has 32 bytes")
        need("/" in self.origin and self.origin != TRAIL, "an origin has another form")
        self.organization = unescape(self.origin.rsplit("/", 1)[1])


class Signed:
    """A checkpoint and the text about its trail."""

    def __init__(self, text):
        parts = text.split(" ")
        need(len(parts) == 2, "a checkpoint is two notes")
        self.note, self.trail_note = Note(unbase64(parts[0])), Note(unbase64(parts[1]))
        self.checkpoint = Checkpoint(self.note.text[:-1].split("\n"))
        lines = self.trail_note.text[:-1].split("\n")
        need(len(lines) >= 10 and lines[0] == TRAIL, "the text about a trail has another form")
        need(lines[1:4] == self.checkpoint.lines, "the text about a trail is one about another checkpoint")
        names = ["at", "object", "unhashed", "verdict", "shape", "heads"]
        for name, line in zip(names, lines[4:10]):
            need(line.startswith(name + " "), "the text about a trail has another form")
        values = [line.split(" ", 1)[1] for line in lines[4:10]]
        self.at, self.verdict = instant(values[0]), unescape(values[3])
        self.object = unescape(values[1])
        number(values[2])
        need(values[4] in ("forked", "chain"), "the shape of a trail has another form")
        self.forked = values[4] == "forked"
        need(len(lines) - 10 == min(number(values[5]), MOST_HEADS), "the heads of a trail are not all listed")
        for line in lines[10:]:
            parts = line.split(" ")
            need(len(parts) == 3 and parts[0] == "head", "a head has another form")
            hash_of(parts[1])
            unescape(parts[2])

    def signed_by(self, keys):
        also = self.trail_note.signed_by(keys)
        return [key for key in self.note.signed_by(keys) if key in also]


class Lines:
    """Lines of the file, counted and hashed."""

    def __init__(self, file):
        self.file, self.number, self.digest, self.before = file, 0, hashlib.sha256(), b""

    def next(self):
        self.before = self.digest.digest()
        line = self.file.readline(LONGEST_LINE + 1)
        self.number += 1
        self.digest.update(line)
        need(line.endswith(b"\n") and len(line) <= LONGEST_LINE, "the line is too long, or the file ends within it")
        line = line[:-1]
        need(not re.search(rb"[\x00-\x1f\x7f]", line), "a control character")
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise Malformed("not UTF-8") from None


COLUMNS = {
    "action": "action", "actor_id": "actor_id", "actor_type": "actor_type", "cat": "event_category",
    "event_id": "event_id", "proj": "project_id", "req": "request_id", "resource_id": "resource_id",
    "resource_name": "resource_name", "resource_type": "resource_type", "sess": "session_id",
    "sev": "event_severity", "type": "event_type",
}
FIELDS = {*COLUMNS, "actor", "email", "res"}
REQUIRED = {
    "action", "actor_id", "actor_type", "event_category", "event_id", "event_severity", "event_type", "organization_id",
    "request_id", "resource_id", "resource_type", "timestamp",
}
OPTIONAL = {"actor_email", "project_id", "resource_name", "session_id"}
ANY = {"actor_ip", "actor_user_agent", "new_state", "previous_hash", "previous_state"}
HIDEABLE = (REQUIRED | OPTIONAL | ANY) - {"event_id", "organization_id", "previous_hash", "timestamp"}
LOOKS_AT = {**{field: {column} for field, column in COLUMNS.items()}, "actor": {"actor_id", "actor_email"}}
LOOKS_AT |= {"email": {"actor_email"}, "res": {"resource_type", "resource_id"}}


SIGNED_DATA, TST_INFO = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d0109100104")
SHA256 = bytes.fromhex("608648016503040201")


def elements(data):
    """The elements of DER, one after the other: tag and content."""
    found = []
    while data:
        need(len(data) > 1, "a time stamp cannot be read")
        tag, length, at = data[0], data[1], 2
        if length & 0x80:
            at = 2 + (length & 0x7F)
            need(2 < at <= 6 and len(data) >= at, "a time stamp cannot be read")
            length = int.from_bytes(data[2:at], "big")
        need(len(data) >= at + length, "a time stamp cannot be read")
        found.append((tag, data[at : at + length]))
        data = data[at + length :]
    return found


def stamp_of(token):
    """The digest that a time stamp of RFC 3161 is of, and its time as it stands."""
    try:
        ((_, content),) = elements(token)
        (_, kind), (_, signed) = elements(content)
        fields = elements(elements(signed)[0][1])
        inner = elements(fields[2][1])
        need((kind, inner[0][1]) == (SIGNED_DATA, TST_INFO), "a time stamp cannot be read")
        info = elements(elements(elements(inner[1][1])[0][1])[0][1])
        algorithm, (_, digest) = elements(info[2][1])
        need(elements(algorithm[1])[0][1] == SHA256, "a time stamp cannot be read")
        return digest, info[4][1].decode("ascii")
    except (ValueError, IndexError, UnicodeDecodeError):
        raise Malformed("a time stamp cannot be read") from None


def by_openssl(token, digest, authorities):
    """Whether openssl verifies a token; None where it cannot be run."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(token)
        file.flush()
        command = ["openssl", "ts", "-verify", "-digest", digest.hex(), "-token_in", "-in", file.name, "-CAfile"]
        try:
            runs = [subprocess.run([*command, one], capture_output=True, check=False) for one in authorities]
        except OSError:
            return None
    return any(run.returncode == 0 for run in runs)


class Members(list):
    """The members of a JSON object."""


def refuse(constant):
    raise ValueError(constant)


def parsed(text):
    try:
        return json.loads(text, object_pairs_hook=Members, parse_int=str, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Malformed("the text is not that of an event") from None


def redacted(text):
    """The event of columns of which some are hidden; these are empty in it."""
    members, hidden, last = [], set(), ""
    for field in text.split(" "):
        name, *rest = field.split(":", 2)
        need(last < name and 1 <= len(rest) <= 2, "the columns have another form")
        hash_of(rest[0])
        last, value = name, "null" if name in OPTIONAL | ANY else '""'
        if len(rest) == 1:
            need(name in HIDEABLE, "this column cannot be hidden")
            hidden.add(name)
        else:
            plain = unbase64(rest[1])
            need(plain.isascii(), "a column is ASCII")
            value = plain.decode()
            parsed(value)
        members.append(f'"{name}": {value}')
    need(hidden, "no column is hidden")
    event = event_of("{" + ", ".join(members) + "}")
    event["hidden"] = hidden
    return event


def event_of(text):
    members = parsed(text)
    need(isinstance(members, Members), "the text is not that of an event")
    event = dict(members)
    need(len(event) == len(members), "a column stands twice in the text of an event")
    need(set(event) <= REQUIRED | OPTIONAL | ANY, "the text of an event has another column")
    need(REQUIRED | {"new_state", "previous_state"} <= set(event), "the text of an event lacks a column")
    for name in REQUIRED | OPTIONAL:
        value = event.setdefault(name, None)
        need(isinstance(value, str) or name in OPTIONAL and value is None, "a column has another type")
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            raise Malformed("half of a surrogate pair is not a character") from None
    try:
        time = datetime.datetime.fromisoformat(event["timestamp"])
    except ValueError:
        raise Malformed("the time of an event has another form") from None
    event["hidden"] = set()
    event["time"] = time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)
    return event


def lower(text):
    return re.sub("[A-Z]", lambda letter: letter.group().lower(), text)


def fulfils(event, field, values):
    """None where it cannot be tried: the columns are hidden."""
    hidden = LOOKS_AT[field] & event["hidden"] if field in LOOKS_AT else set()
    if not hidden:
        return matches(event, field, values)
    if field != "actor":
        return None
    by_id = "actor_id" not in hidden and event["actor_id"] in values
    by_email = "actor_email" not in hidden and matches(event, "email", [value for value in values if "@" in value])
    return True if by_id or by_email else None


def matches(event, field, values):
    emails = [lower(value) for value in values]
    email = lower(event["actor_email"]) if event["actor_email"] is not None else None
    if field == "actor":
        return event["actor_id"] in values or email in [value for value in emails if "@" in value]
    if field == "email":
        return email in emails
    if field == "res":
        return "/" not in event["resource_type"] and f"{event['resource_type']}/{event['resource_id']}" in values
    return event[COLUMNS[field]] in values


class Header:
    """The lines before the events."""

    def __init__(self, lines):
        self.lines = list(lines)
        need(self.take(None) == MAGIC, "this is no evidence bundle of version 1")
        self.organization, self.filter = unescape(self.take("organization")), unescape(self.take("filter"))
        self.since, self.until = self.time(self.take("since")), self.time(self.take("until"))
        self.level, terms = self.take("level"), self.take("terms")
        need(self.level in ("rows", "hashes", "none") and terms in ("all", "some"), "the level has another form")
        self.all_terms, self.terms = terms == "all", []
        while self.lines and self.lines[0].startswith("term "):
            parts = self.take("term").split(" ")
            need(len(parts) == 2 and parts[0] in FIELDS, "a condition has another form")
            values = [unescape(value) for value in parts[1].split(",")]
            need(len(values) <= MOST_VALUES, "a condition has too many values")
            self.terms.append((parts[0], values))
        self.selected = number(self.take("selected"))
        self.checkpoint, self.before = self.notes(self.take("checkpoint")), self.notes(self.take("before"))
        self.stamps, self.keys = [], []
        while self.lines and self.lines[0].startswith("stamp "):
            self.stamps.append(unbase64(self.take("stamp")))
        need(len(self.stamps) <= 10 and all(self.stamps), "there are too many time stamps, or an empty one")
        need(self.checkpoint or not self.stamps, "there is no checkpoint that the time stamps are of")
        while self.lines:
            self.keys.append(Key(self.take("key")))

    def selects_all(self):
        return self.all_terms and not self.terms and self.since is None and self.until is None

    def take(self, name):
        need(self.lines, "the header ends too early")
        line = self.lines.pop(0)
        if name is None:
            return line
        need(line.startswith(name + " "), f"'{name}' is expected in the header")
        return line[len(name) + 1 :]

    @staticmethod
    def time(text):
        return None if text == "-" else instant(text)

    @staticmethod
    def notes(text):
        return None if text == "-" else Signed(text)


class Bundle:
    """What was read so far."""

    def __init__(self, file):
        lines = Lines(file)
        self.read_header(lines)
        self.refuted = self.check_checkpoints()
        self.events = self.selected = self.others = self.without_leaf = self.mismatches = 0
        self.redacted = self.untried = 0
        self.first_mismatch = self.unfit = self.hidden = self.last_leaf = self.last_hash = None
        while True:
            line = lines.next()
            kind, _, rest = line.partition(" ")
            if kind in ("event", "redacted"):
                self.event(rest, kind == "redacted")
            elif kind == "leaves":
                self.leaves(rest)
            elif kind == "seal":
                break
            else:
                raise Malformed(f"line {lines.number}: an event, leaves or the seal are expected")
        self.seal = None if rest == "-" else Note(unbase64(rest))
        self.sealed = lines.before
        end = lines.next()
        need(end == "end " + lines.before.hex(), "the digest of the file is another one")
        need(not file.read(1), "the file goes on behind its end")
        self.close()

    def read_header(self, lines):
        header, length = [], 0
        for _ in range(MOST_LINES):
            line = lines.next()
            if line.startswith("peaks "):
                break
            length += len(line.encode())
            need(length <= LONGEST_HEADER, "the header is too long")
            header.append(line)
        else:
            raise Malformed("the header is too long")
        parts = line.split(" ")
        need(len(parts) == 3, "'peaks' has another form")
        size, peaks = number(parts[1]), nodes(parts[2], 64)
        need(len(peaks) == bin(size).count("1"), "'peaks' has another form")
        self.header, self.peaks = Header(header), Peaks(size, peaks)
        checkpoint, before, level = self.header.checkpoint, self.header.before, self.header.level
        need(checkpoint or not before and level == "none", "without a checkpoint there is no range")
        need(not (before and level == "none"), "without a level there is no range")
        self.begin = before.checkpoint.size if before else 0
        self.end = checkpoint.checkpoint.size if checkpoint and level != "none" else 0
        need(level == "none" or self.begin <= self.end, "the earlier checkpoint is the larger one")
        need(self.peaks.size == (self.begin if level != "none" else 0), "the peaks are not those before the range")

    def check_checkpoints(self):
        checkpoint, before = self.header.checkpoint, self.header.before
        if checkpoint is None:
            return None
        if checkpoint.checkpoint.organization != self.header.organization:
            return "the checkpoint is of another organisation"
        if before and before.checkpoint.origin != checkpoint.checkpoint.origin:
            return "the earlier checkpoint is of another log"
        if before and before.checkpoint.root != self.peaks.root():
            return "the leaves are not those of the earlier checkpoint: two histories of one log were shown"
        return None

    def push(self, node):
        need(self.peaks.size < self.end, "there are more leaves than the checkpoint has")
        self.peaks.push(leaf(node))

    def event(self, rest, is_redacted):
        parts = rest.split(" ", 4)
        need(len(parts) == 5, "an event has a leaf, a mark, a hash, a proof and a text")
        own, proof, text = hash_of(parts[2]), nodes(parts[3], MOST_PROOF), parts[4]
        need(text.isascii(), "the text of an event is ASCII")
        selected = parts[1] == "selected"
        need(selected or parts[1] == "other" and self.header.level == "rows", "the mark has another form")
        if parts[0] == "-":
            need(not proof and selected, "an event without a leaf is selected, and has no proof")
            need(self.last_hash is None or self.last_hash < own, "events without a leaf stand in the order of hashes")
            self.last_hash = own
            self.without_leaf += 1
        else:
            self.with_leaf(number(parts[0]), own, proof)
        self.events += 1
        self.selected += selected
        self.others += not selected
        event = redacted(text) if is_redacted else event_of(text)
        self.redacted += is_redacted
        need(event["organization_id"] == self.header.organization, "an event of another organisation")
        if not is_redacted and sha256(text.encode()) != own:
            self.mismatches += 1
            self.first_mismatch = self.first_mismatch or event["event_id"]
        since, until = self.header.since, self.header.until
        inside = (since is None or since <= event["time"]) and (until is None or event["time"] < until)
        tried = [fulfils(event, *term) for term in self.header.terms]
        fits = inside and False not in tried
        if fits and None in tried:
            self.untried += 1
        elif fits and not selected and self.header.all_terms:
            self.hidden = self.hidden or event["event_id"]
        elif selected and not fits:
            self.unfit = self.unfit or event["event_id"]

    def with_leaf(self, at, own, proof):
        need(self.header.checkpoint, "without a checkpoint there are no leaves")
        need(self.without_leaf == 0, "events without a leaf stand behind those with one")
        if self.header.level != "none":
            need(at == self.peaks.size and not proof, "another leaf, without a proof, is expected")
            self.push(own)
            return
        need(self.last_leaf is None or self.last_leaf < at, "events stand in the order of their leaves")
        self.last_leaf = at
        checkpoint = self.header.checkpoint.checkpoint
        if not includes(leaf(own), at, checkpoint.size, proof, checkpoint.root):
            self.refuted = self.refuted or f"{own.hex()} is not leaf {at} of the checkpoint's log"

    def leaves(self, rest):
        need(self.header.level == "hashes" and self.without_leaf == 0, "leaves stand only in a range")
        given = nodes(rest, MOST_LEAVES)
        need(given, "the leaves have another form")
        self.others += len(given)
        for node in given:
            self.push(node)

    def close(self):
        if self.refuted or self.header.level == "none":
            return
        if self.peaks.size != self.end:
            self.refuted = f"{self.peaks.size} of the checkpoint's {self.end} leaves are accounted for"
        elif self.peaks.root() != self.header.checkpoint.checkpoint.root:
            self.refuted = "the leaves have another root than the checkpoint: one was dropped, added or altered"

    def content(self):
        if self.mismatches:
            return FAILS, f"{self.mismatches} of {self.events} events differ from their hash, first {self.first_mismatch}"
        if not self.events:
            return NOT_SHOWN, "there are no events"
        if self.redacted:
            return NOT_SHOWN, f"{self.redacted} of {self.events} events have hidden columns: the others are the sealer's word"
        return SHOWN, f"the hash of each of {self.events} events is that of its text"

    def inclusion(self):
        if self.header.checkpoint is None:
            return NOT_SHOWN, "there is no checkpoint"
        if self.refuted:
            return FAILS, self.refuted
        if self.without_leaf or not self.events:
            return NOT_SHOWN, f"{self.without_leaf} events are not in the log of the checkpoint"
        return SHOWN, f"each event is in the log {self.header.checkpoint.checkpoint.origin}"

    def completeness(self):
        header = self.header
        if self.selected != header.selected:
            return FAILS, f"{header.selected} events were selected, {self.selected} are given"
        if self.unfit:
            return FAILS, f"the selected event {self.unfit} does not fulfil the conditions"
        if self.hidden:
            return FAILS, f"the event {self.hidden} fulfils the conditions and is not selected"
        if header.checkpoint is None or header.level == "none":
            return NOT_SHOWN, "not claimed: other events may match"
        if self.refuted:
            return FAILS, "the range of the log is not the one of the checkpoints"
        if header.selects_all() and header.level == "hashes" and self.others:
            return FAILS, f"every event was asked for, and {self.others} of the signed log are given only as hashes"
        if header.checkpoint.forked or header.before and header.before.forked:
            return NOT_SHOWN, "completeness cannot be shown: the trail has several chains"
        if self.without_leaf:
            return NOT_SHOWN, "completeness cannot be shown: events came after the checkpoint"
        if header.before and (header.since is None or header.since < header.before.at):
            return NOT_SHOWN, "completeness cannot be shown: the time begins before the earlier checkpoint"
        if header.until is not None and header.until > header.checkpoint.at:
            return NOT_SHOWN, "completeness cannot be shown: the time ends after the checkpoint"
        given = f"all events of leaves {self.begin} to {self.end} are"
        if header.level == "rows" and self.untried:
            return SHOWN, f"{given} given (level A); whether {self.untried} of them match is the exporter's word"
        if header.level == "rows" and header.all_terms:
            return SHOWN, f"{given} given in full, and exactly the selected ones match (level A)"
        if header.level == "rows":
            return SHOWN, f"{given} given in full (level A); not all conditions of the filter were tried here"
        return SHOWN, f"{given} accounted for (level B); that {self.others} do not match is the exporter's word"

    def signature(self, trusted):
        if Ed25519PublicKey is None:
            return NOT_SHOWN, "signatures were not verified: the package 'cryptography' is missing"
        known = trusted + [key for key in self.header.keys if key not in trusted]
        signers, sealers = None, []
        try:
            for signed in (self.header.checkpoint, self.header.before):
                if signed:
                    by = signed.signed_by(known)
                    signers = by if signers is None else [key for key in signers if key in by]
            if self.seal:
                origin = self.header.checkpoint.checkpoint.origin if self.header.checkpoint else "-"
                if self.seal.text != f"{SEAL}\n{origin}\n{MAGIC}\n{self.sealed.hex()}\n":
                    return FAILS, "the seal is one of another bundle"
                sealers = self.seal.signed_by(known)
        except BadSignature as error:
            return FAILS, str(error)
        sealers = [key.name for key in sealers if key in trusted]
        sealed = f"; filter and selection by {', '.join(sealers)}" if sealers else "; filter and selection unsigned"
        if signers is None:
            if not self.seal:
                return NOT_SHOWN, "nothing is signed"
            return (SHOWN, f"no checkpoint{sealed}") if sealers else (NOT_SHOWN, "by an unknown key")
        signers = [key.name for key in signers if key in trusted]
        if not signers:
            return NOT_SHOWN, "by an unknown key"
        witnesses = [key.name for key in self.header.checkpoint.note.signed_by(trusted)]
        witnesses = [name for name in witnesses if name not in signers]
        cosigned = f", cosigned by {', '.join(witnesses)}" if witnesses else ""
        return (SHOWN if sealers else NOT_SHOWN), f"the checkpoint is signed by {', '.join(signers)}{cosigned}{sealed}"

    def time(self, authorities):
        none = "no time stamp: all times are the word of whoever wrote or signed them"
        if not self.header.stamps:
            return NOT_SHOWN, none
        wanted, shown, open_ = sha256(self.header.checkpoint.note.text.encode()), [], none
        for token in self.header.stamps:
            try:
                digest, time = stamp_of(token)
            except Malformed as error:
                return FAILS, str(error)
            if digest != wanted:
                return FAILS, "the time stamp is of another text"
            if not authorities:
                open_ = f"a time stamp of {time}: by an authority that is not known here (--tsa)"
                continue
            verified = by_openssl(token, digest, authorities)
            if verified:
                shown.append(time)
            else:
                what = "openssl cannot be run" if verified is None else "openssl does not verify it by these authorities"
                open_ = f"a time stamp of {time}: {what}"
        if not shown:
            return NOT_SHOWN, open_
        return SHOWN, f"the checkpoint was there at {min(shown)}; whether a certificate was revoked was not asked"

    def parts(self, trusted, authorities=()):
        return {
            "content": self.content(),
            "inclusion": self.inclusion(),
            "completeness": self.completeness(),
            "signature": self.signature(trusted),
            "time": self.time(authorities),
        }


def overall(bundle, parts):
    claimed = {"content", "inclusion", "signature"}
    if bundle.header.level != "none":
        claimed.add("completeness")
    if bundle.header.stamps:
        claimed.add("time")
    states = [state for name, (state, _) in parts.items() if name in claimed or state == FAILS]
    return FAILS if FAILS in states else NOT_SHOWN if NOT_SHOWN in states else SHOWN


def printable(text):
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)


def main():
    arguments = argparse.ArgumentParser(description="Verifies an AgentTrace evidence bundle.")
    arguments.add_argument("bundle")
    arguments.add_argument("--trust", action="append", default=[], metavar="KEY", help="public key that is trusted")
    arguments.add_argument("--tsa", action="append", default=[], metavar="PEM", help="authority whose time stamps are trusted")
    arguments.add_argument("--json", action="store_true", help="one JSON object")
    given = arguments.parse_args()
    try:
        trusted = [Key(text) for text in given.trust]
    except Malformed as error:
        print(f"--trust: {error}", file=sys.stderr)
        return 2
    try:
        with open(given.bundle, "rb") as file:
            bundle = Bundle(file)
    except OSError as error:
        print(f"cannot read the bundle: {error}", file=sys.stderr)
        return 3
    except Malformed as error:
        print(f"no valid evidence bundle: {printable(str(error))}", file=sys.stderr)
        return 1
    parts = bundle.parts(trusted, given.tsa)
    state = overall(bundle, parts)
    if given.json:
        shown = {name: {"state": state, "detail": detail} for name, (state, detail) in parts.items()}
        print(json.dumps({"state": state, "parts": shown}))
    else:
        levels = {"rows": "level A: all events in full", "hashes": "level B: the others as hashes"}
        claim = levels.get(bundle.header.level, "nothing said of others")
        print(printable(f"EVIDENCE {bundle.header.organization}: {bundle.selected} events: {state} ({claim})"))
        print(printable(f"filter: {bundle.header.filter}"))
        for signed in filter(None, (bundle.header.before, bundle.header.checkpoint)):
            log = signed.checkpoint
            print(printable(f"checkpoint: {log.origin}  {log.size} events  {signed.at}  verification then: {signed.verdict}"))
        for name, (part, detail) in parts.items():
            print(printable(f"{name:<12} {part:<9} {detail}"))
    return {SHOWN: 0, NOT_SHOWN: 4, FAILS: 1}[state]


if __name__ == "__main__":
    sys.exit(main())
