# Sourced by scripts/start and scripts/test. Installs what is missing and says what; does nothing on a second run.

say() { printf '%s\n' "$*" >&2; }

# need COMMAND_OR_FILE PACKAGE [COMMAND_OR_FILE PACKAGE ...]: collects the Debian packages whose command or file is missing.
need() {
  local missing=()
  while [ $# -gt 1 ]; do
    case "$1" in
      /*) [ -e "$1" ] || missing+=("$2") ;;
      *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2") ;;
    esac
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      say "Missing Debian packages: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"
      return 1
    fi
    sudo=(sudo)
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    say "Missing: ${missing[*]} (names of the Debian packages). This machine has no apt-get; please install them yourself."
    return 1
  fi
  say "Installing Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# npm_packages: `npm ci` when node_modules is not the one of package-lock.json. Node 24 comes with it (npm package "node").
# `npm ci` refuses a lock file that lacks the optional packages of other platforms, which a registry mirror may not have;
# `npm install --no-save` then installs the same versions and leaves the lock file alone.
npm_packages() {
  local lock stamp=node_modules/.installed-lock
  lock=$(sha256sum package-lock.json | cut -d' ' -f1)
  if [ "$(cat "$stamp" 2>/dev/null || true)" != "$lock" ]; then
    say "Installing npm packages (npm ci)"
    if ! npm ci --no-audit --no-fund --loglevel=silent >&2; then
      say "npm ci refuses the lock file on this registry; installing the locked versions with npm install --no-save"
      npm install --no-save --no-audit --no-fund --loglevel=error >&2
    fi
    printf '%s\n' "$lock" >"$stamp"
  fi
  export PATH="$PWD/node_modules/.bin:$PATH"
}
