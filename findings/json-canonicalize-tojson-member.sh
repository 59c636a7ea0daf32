#!/usr/bin/env bash
# json-canonicalize 3.0.1 (npm): RFC 8785 canonical form depends on member order where a member is called "toJSON".
#
# A good engineer expects: two JSON texts that differ only in the order of their members have one canonical form.
# Seen: an object that has a member with the *name* "toJSON" is written in the order in which it was parsed, all of it
#       (nested objects too), even when the member holds a plain string or number. Without that member the same
#       objects are sorted. canonicalize 4.0.0 on the same input sorts in both cases.
# Why it matters here: a digest or signature over such a record differs between two honest exporters.
# Output seen with node 20, 2026-11:
#   json-canonicalize  {"z":1,"toJSON":"x","a":{"d":1,"c":2}}  |  {"a":{"c":2,"d":1},"toJSON":"x","z":1}
#   canonicalize       {"a":{"c":2,"d":1},"toJSON":"x","z":1}  |  {"a":{"c":2,"d":1},"toJSON":"x","z":1}
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund json-canonicalize@3.0.1 canonicalize@4.0.0 || exit 2
cat >check.mjs <<'JS'
import { createRequire } from 'node:module'
import canonicalizeModule from 'canonicalize'
const require = createRequire(import.meta.url)
const { canonicalize: jsonCanonicalize } = require('json-canonicalize')
const texts = ['{"z":1,"toJSON":"x","a":{"d":1,"c":2}}', '{"a":{"c":2,"d":1},"toJSON":"x","z":1}']
const forms = f => texts.map(text => f(JSON.parse(text)))
const surprising = forms(jsonCanonicalize)
const expected = forms(canonicalizeModule)
console.log('json-canonicalize ', surprising.join('  |  '))
console.log('canonicalize      ', expected.join('  |  '))
const plain = ['{"b":1,"a":2}', '{"a":2,"b":1}'].map(text => jsonCanonicalize(JSON.parse(text)))
const asDescribed =
  surprising[0] !== surprising[1] && surprising[0] === texts[0] && expected[0] === expected[1] && plain[0] === plain[1]
process.exit(asDescribed ? 0 : 1)
JS
node --version
node check.mjs
