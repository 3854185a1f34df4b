#!/bin/sh
# Follows an account's token over the control API, with curl alone:
#
#   consumer.sh CONTROL_SOCKET ACCOUNT URL
#
# It must run as the supervisor's user, as root, or as a reader (control.readers). For a single call:
#
#   tokenkeeper token ACCOUNT --header | curl -H @- URL
set -eu
socket=$1 account=$2 url=$3

ask() { curl --silent --show-error --fail --no-buffer --unix-socket "$socket" "$@"; }

# Takes one field out of an answer. An access token of a broker has no quotes
# in it (RFC 6750, section 2.1).
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

# Calls the broker's API with the newest token. The token goes through a pipe,
# because everybody on the machine can read a command line.
use() {
	answer=$(ask "http://localhost/v1/accounts/$account/token") || return 0
	version=$(printf '%s\n' "$answer" | field version)
	[ "$version" != "$used" ] || return 0
	status=$(printf 'header = "Authorization: Bearer %s"\n' "$(printf '%s\n' "$answer" | field access_token)" |
		curl --silent --show-error --max-time 10 --output /dev/null --write-out '%{http_code}' --config - "$url") || return 0
	used=$version
	echo "version $version: the API answers $status"
}

while :; do # through restarts of the supervisor
	# The headers are shown as soon as they come (--include would hold them back):
	# what is refreshed after them comes as an event.
	ask --dump-header - http://localhost/v1/events | (
		used=
		while read -r line; do
			case $line in
			HTTP/*\ 200* | *"\"account\":\"$account\""*) use ;;
			esac
		done
	) || true
	sleep 1
done
