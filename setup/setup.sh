#!/bin/bash
# Installs what Ballast needs on Debian 12: all set-up of the project lives here.
#
#   setup/setup.sh                    everything that the build and its tests need
#   setup/setup.sh --only "graph kv"  only what these components need
#   setup/setup.sh --no-tests         without what only the tests need (a browser, for one)
#   setup/setup.sh --peers            also the competitors that benchmarks compare with
#   setup/setup.sh --for docs         only what `make docs` needs; so too: lint, fuzz
#
# Works as root or through sudo. Does nothing, fast and without a network, when all is there. What cannot be
# installed is named, with the command to do it by hand.
#
# Python packages and fetched sources go to one cache shared by all clones: $BALLAST_CACHE, or ~/.cache/ballast.
set -euo pipefail
cd "$(dirname "$0")"

only="" purpose="" peers=0 tests=1
while [ $# -gt 0 ]; do
  case "$1" in
    --only) only="${2:?--only needs component names}"; shift 2 ;;
    --peers) peers=1; shift ;;
    --for) purpose="${2:?--for needs docs, lint or fuzz}"; shift 2 ;;
    --no-tests) tests=0; shift ;;
    -h|--help) sed -n '2,16s/^# \{0,1\}//p' setup.sh; exit 0 ;;
    *) echo "setup: unknown word '$1'; accepted: --only \"NAMES\", --no-tests, --peers, --for docs|lint|fuzz" >&2; exit 2 ;;
  esac
done

install_debian() {  # install_debian PACKAGE...: those that are missing; names what could not be installed
  local installed missing=() package log as_root=()
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | awk '$1 == "installed" {print $2}' || true)
  for package in "$@"; do
    grep -qx "$package" <<<"$installed" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null; then as_root=(sudo); else
      echo "setup: these packages are missing and this user cannot install them: ${missing[*]}" >&2
      echo "setup: ask for: apt-get install --no-install-recommends ${missing[*]}" >&2
      exit 3
    fi
  fi
  echo "setup: installing ${#missing[@]} Debian packages"
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    grep -E '^(E|W):' "$log" | tail -5 >&2
    echo "setup: could not install: ${missing[*]}" >&2
    echo "setup: the full log is $log; by hand: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 3
  fi
  rm -f "$log"
  # Upstream versions other than those that were checked are named once; they work by Debian's promise within a release.
  awk '!/^[#[]/ && NF' apt.txt | while read -r package version; do
    [[ " ${missing[*]} " == *" $package "* ]] || continue
    is=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true)
    [ "$version" = "*" ] || [[ "$is" == "$version"* ]] || echo "setup: note: $package is $is, checked was $version"
  done
}

# The sections to install: a component brings those of everything that it stands on.
sections="all"
if [ -n "$only" ]; then
  command -v python3 >/dev/null || install_debian python3
  sections="house tests $(python3 ../cmake/closure.py .. $only)" || exit 2
fi

case "$purpose" in
  "") ;;
  docs|lint|fuzz) sections="$purpose" ;;
  *) echo "setup: --for is '$purpose'; accepted: docs, lint, fuzz" >&2; exit 2 ;;
esac

wanted() {  # wanted FILE: its lines in the chosen sections, without comments
  awk -v sections=" $sections " -v peers="$peers" -v tests="$tests" '
    /^#/ || /^$/ { next }
    /^\[/ { name = substr($0, 2, length($0) - 2); next }
    name == "tests" && !tests { next }
    name ~ /^(docs|lint|fuzz)$/ && sections == " all " { next }
    name == "peers" ? peers : (sections == " all " || index(sections, " " name " ")) { print }' "$1" | sort -u
}

mapfile -t packages < <(wanted apt.txt | awk '{print $1}' | sort -u)
install_debian "${packages[@]}"

cache="${BALLAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ballast}"

# Data that Debian packages carry: only the named folder is unpacked, into the cache; the package is not installed.
while read -r package _ folder name; do
  target="$cache/data/$name"
  [ -f "$target/.complete" ] && continue
  mkdir -p "$cache/data"
  exec 8>"$cache/data.lock"
  flock 8
  if [ ! -f "$target/.complete" ]; then
    echo "setup: fetching the data '$name' of the Debian package $package"
    rm -rf "$target" "$target.tmp"; mkdir -p "$target.tmp/unpacked"
    fetch() { (cd "$target.tmp" && apt-get -o APT::Sandbox::User=root download "$package") >"$target.tmp/log" 2>&1; }
    fetch || { { [ "$(id -u)" = 0 ] && apt-get update || sudo apt-get update; } >/dev/null 2>&1 || true; fetch; } || {
      grep -E '^(E|W):' "$target.tmp/log" | tail -3 >&2
      echo "setup: could not fetch the Debian package $package (by hand: apt-get download $package)" >&2
      exit 3; }
    dpkg-deb --fsys-tarfile "$target.tmp/$package"_*.deb |
      tar -x -C "$target.tmp/unpacked" --strip-components="$(($(tr -cd / <<<"$folder" | wc -c) + 2))" "./$folder"
    touch "$target.tmp/unpacked/.complete"
    mv "$target.tmp/unpacked" "$target"
    rm -rf "$target.tmp"
  fi
  exec 8>&-
done < <(wanted deb-data.txt)

mapfile -t lines < <(wanted pypi.txt)
if [ ${#lines[@]} -gt 0 ]; then
  mkdir -p "$cache"
  exec 9>"$cache/setup.lock"
  flock 9
  venv="$cache/venv"
  [ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv --system-site-packages "$venv"
  have=$("$venv/bin/python" - <<'P'
import importlib.metadata as m
print("\n".join(f"{d.metadata['Name'].lower().replace('_', '-')}=={d.version}" for d in m.distributions() if d.metadata['Name']))
P
)
  need=() need_files=()
  for line in "${lines[@]}"; do
    if [[ "$line" == files\ * ]]; then
      grep -qxF "$(tr 'A-Z_' 'a-z-' <<<"${line#files }")" <<<"$have" || need_files+=("${line#files }")
    elif [[ "$line" == source\ * ]]; then
      spec="${line#source }"
      target="$cache/src/${spec/==/-}"
      if [ ! -f "$target/.complete" ]; then
        echo "setup: fetching the source of $spec"
        rm -rf "$target" "$target.tmp"; mkdir -p "$target.tmp"
        if ! "$venv/bin/python" -m pip download --quiet --no-deps --no-binary "${spec%%==*}" --dest "$target.tmp" "$spec" \
             >"$target.tmp/log" 2>&1; then
          tail -3 "$target.tmp/log" >&2
          echo "setup: could not fetch the source of $spec" >&2
          exit 3
        fi
        tar -xzf "$target.tmp"/*.tar.gz -C "$target.tmp" --strip-components=1
        rm -f "$target.tmp"/*.tar.gz
        touch "$target.tmp/.complete"
        mv "$target.tmp" "$target"
      fi
    else
      grep -qxF "$(tr 'A-Z_' 'a-z-' <<<"$line")" <<<"$have" || need+=("$line")
    fi
  done
  if [ ${#need_files[@]} -gt 0 ]; then
    echo "setup: fetching the files of ${need_files[*]}"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${need_files[@]}" || {
      echo "setup: could not install from PyPI: ${need_files[*]}" >&2; exit 3; }
  fi
  if [ ${#need[@]} -gt 0 ]; then
    echo "setup: installing ${need[*]}"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${need[@]}" || {
      echo "setup: could not install from PyPI: ${need[*]}" >&2; exit 3; }
  fi
fi
