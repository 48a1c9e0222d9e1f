# Shared by the scripts: sourced, not run. Each script sets -euo pipefail itself.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Debian's own tools, whichever others come first in PATH.
python=/usr/bin/python3

say() { printf '== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# configure FOLDER [meson options]: set a build folder up, and again when a part of the house is new (meson asks for a
# part's folder with fs.exists, which ninja does not watch).
configure() {
	local folder=$1 again=()
	shift
	if [ -f "$folder/build.ninja" ]; then
		[ -n "$(find "$root/gateway" "$root/tests" -path '*/node_modules' -prune -o \
			\( -name meson.build -o -name 'fuzz_*.c' \) -newer "$folder/build.ninja" -print -quit)" ] || return 0
		again=(--reconfigure)
	fi
	CC=${CC:-gcc} meson setup "${again[@]}" "$folder" "$root" "$@" >"$folder.setup.log" 2>&1 ||
		{ cat "$folder.setup.log" >&2; die "meson setup $folder failed"; }
	mv "$folder.setup.log" "$folder/"
}

# wait_for SECONDS COMMAND...: until it succeeds, asked ten times a second.
wait_for() {
	local tries=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.1
	done
}

# stop PID: SIGTERM, then SIGKILL after ten seconds. Harmless when it is gone.
stop() {
	local pid=$1 i
	kill -TERM "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 100; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}
