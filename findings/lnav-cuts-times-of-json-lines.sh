#!/usr/bin/env bash
# lnav 0.11.1 (Debian 12) with a format for JSON lines: times lose their microseconds, also where they are shown as six
# digits, and also where the line shows the field of the record itself.
#
# A good engineer expects: lnav keeps microseconds (its formats parse and print them by %f), so a column by %f shows the six
# digits of the file, the field of the record is shown as it is, and with "ordered-by-time": false lines stand in the
# order of their times.
# Seen: of 08:00:01.999900 the time by %f is shown as 08:00:01.999000 and the field itself as 08:00:01.999; lines of one
#       millisecond stand in the order of the file, so in a file that has the newest first they stand the wrong way round.
#       Nothing says that digits were dropped.
# Why it matters here: in an audit trail many events share a millisecond, and the order of two of them is the question; an
# event that is looked up by the time that lnav shows is not found. Files for lnav are exported oldest first.
# Output seen, 2026-11:
#   2026-01-05T08:00:01.999000Z|2026-01-05T08:00:01.999|second
#   2026-01-05T08:00:01.999000Z|2026-01-05T08:00:01.999|first
#   2026-01-05T08:00:02.000000Z|2026-01-05T08:00:02.000|fourth
#   2026-01-05T08:00:02.000000Z|2026-01-05T08:00:02.000|third
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
script=$(realpath "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq lnav=0.11.1-3 2>/dev/null || exit 2
# Of the libraries that it needs those that the machine does not have.
apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances lnav |
    grep -E '^lib' | sort -u | while read -r library; do
    dpkg -s "$library" >/dev/null 2>&1 || apt-get download -qq "$library" 2>/dev/null || exit 2
done
for package in *.deb; do dpkg -x "$package" unpacked; done
LD_LIBRARY_PATH=$(find "$dir/unpacked" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
export LD_LIBRARY_PATH HOME=$dir/home
unpacked/usr/bin/lnav -V >/dev/null || exit 2
mkdir -p home/.lnav/formats/sample
cat >home/.lnav/formats/sample/format.json <<'JSON'
{"$schema": "https://lnav.org/schemas/format-v1.schema.json",
 "sample_log": {"title": "sample", "description": "sample", "file-type": "json", "ordered-by-time": false,
  "timestamp-field": "at", "timestamp-format": ["%Y-%m-%dT%H:%M:%S.%fZ"], "body-field": "what",
  "line-format": [{"field": "__timestamp__", "timestamp-format": "%Y-%m-%dT%H:%M:%S.%fZ"}, "|", {"field": "at"}, "|",
                  {"field": "what"}],
  "value": {"what": {"kind": "string"}}}}
JSON
cat >newest-first.log <<'LOG'
{"at": "2026-01-05T08:00:02.000900Z", "what": "fourth"}
{"at": "2026-01-05T08:00:02.000100Z", "what": "third"}
{"at": "2026-01-05T08:00:01.999900Z", "what": "second"}
{"at": "2026-01-05T08:00:01.999100Z", "what": "first"}
LOG
seen=$(unpacked/usr/bin/lnav -n newest-first.log)
echo "lnav 0.11.1:"
echo "$seen"
wanted=$(sed -n '/^# Output seen/,/^# Exits/{s/^#   //p}' "$script")
[ "$seen" = "$wanted" ]
