# Installs what scripts/run, scripts/test and scripts/bench need, and prints what. Each of them sources this file.
#
# Made for Debian 12 and 13. A tool that is installed in a sufficient version is kept; what cannot be installed ends the
# script with the remedy. Packages need root or sudo, everything else goes into the home directory or target/.
# shellcheck shell=bash

# Prints the head of the script that sources this one, with -h or --help.
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
  exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What cargo installs comes first; a user's path often lacks the directories of setcap and nft.
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin:/sbin"

# The oldest compiler that the package accepts.
RUST_MIN=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# build.mjs needs import.meta.dirname, and the browser test needs Node.js 20.
NODE_MIN=20.11
# What is installed where Debian's is older.
NODE_VERSION=22.23.3

say() { printf '\n==> %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null; }

# at_least HAVE WANT: returns 0 if the version HAVE is WANT or later.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -VC; }

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    fail "this needs root, and there is no sudo. Run it as root: $*"
  fi
}

# need_packages COMMAND:PACKAGE...: installs the Debian package of each command that is missing.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    has "${pair%%:*}" || missing+=("${pair#*:}")
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    return
  fi
  has apt-get || fail "there is no apt-get here. Install what this system calls ${missing[*]}, then run again"
  [[ $EUID -eq 0 ]] || has sudo || fail "there is no sudo here. Run as root: apt-get install ${missing[*]}"
  say "Installing the Debian packages ${missing[*]}"
  as_root apt-get update || fail "apt-get cannot read its package lists: check the network and /etc/apt"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}" ||
    fail "apt-get cannot install ${missing[*]}: see what it says above"
}

# Installs Node.js: Debian's package, or the official build out of the npm registry where that is too old (Debian 12).
need_node() {
  need_packages node:nodejs npm:npm
  if at_least "$(node --version | tr -d v)" "$NODE_MIN"; then
    return
  fi
  local arch package
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) fail "Node.js $NODE_MIN is needed, and $(node --version) is here: install a later one from https://nodejs.org" ;;
  esac
  package=node-linux-$arch
  if [[ ! -x target/node/node_modules/$package/bin/node ]]; then
    say "Node.js $(node --version) is older than $NODE_MIN: installing $package@$NODE_VERSION into target/node"
    npm install --prefix target/node --no-save --ignore-scripts --no-audit --no-fund "$package@$NODE_VERSION" ||
      fail "npm cannot install Node.js: check the network, or install $NODE_MIN or later from https://nodejs.org"
  fi
  PATH="$PWD/target/node/node_modules/$package/bin:$PATH"
}

# Installs the stable toolchain where cargo is missing or too old.
need_rust() {
  if at_least "$(cargo --version 2>/dev/null | cut -d' ' -f2)" "$RUST_MIN"; then
    return
  fi
  need_rustup
  need_toolchain stable
  # For this run alone, since the user chooses the default toolchain.
  export RUSTUP_TOOLCHAIN=stable
  at_least "$(cargo --version | cut -d' ' -f2)" "$RUST_MIN" ||
    fail "$(command -v cargo) is $(cargo --version), and $RUST_MIN is needed: let rustup's cargo come first in PATH"
}

need_rustup() {
  if has rustup; then
    return
  fi
  # Debian's package would replace a cargo of Debian's own.
  if ! has cargo && has apt-cache && [[ -n $(apt-cache search --names-only '^rustup$') ]]; then
    need_packages rustup:rustup
    return
  fi
  say "Installing rustup from https://sh.rustup.rs into ${CARGO_HOME:-$HOME/.cargo}"
  local installer
  installer=$(mktemp)
  curl --proto '=https' --tlsv1.2 -sSf -o "$installer" https://sh.rustup.rs ||
    fail "cannot fetch https://sh.rustup.rs: check the network, or install Rust $RUST_MIN with rustup by other means"
  sh "$installer" -y --no-modify-path --default-toolchain none ||
    fail "rustup cannot be installed: see what it says above"
  rm -f "$installer"
}

# need_toolchain NAME: installs its latest version.
need_toolchain() {
  say "Installing Rust $1 with rustup"
  rustup toolchain install "$1" --profile minimal --no-self-update ||
    fail "rustup cannot install the $1 toolchain: check the network; it comes from https://static.rust-lang.org"
}

# Installs clippy and rustfmt, which a minimal toolchain lacks.
need_clippy_and_rustfmt() {
  if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then
    return
  fi
  has rustup || fail "cargo has no clippy or no rustfmt: install the packages that belong to your cargo"
  say "Installing clippy and rustfmt with rustup"
  rustup component add clippy rustfmt || fail "rustup cannot add clippy and rustfmt: check the network"
}

# Installs the nightly toolchain for cargo fuzz; the rest of the project is built with stable.
need_nightly() {
  need_rustup
  if ! rustup run nightly cargo --version >/dev/null 2>&1; then
    need_toolchain nightly
  fi
}

# need_cargo_tool NAME...: installs programs from crates.io.
need_cargo_tool() {
  local tool
  for tool in "$@"; do
    if ! has "$tool"; then
      say "Installing $tool with cargo"
      cargo install --locked "$tool" || fail "cargo cannot install $tool: check the network, and what it says above"
    fi
  done
}

# Installs the program that counts instructions for the benches. It works only with the library of the same version.
need_gungraun_runner() {
  local version
  version=$(sed -n '/^name = "gungraun"$/{n;s/^version = "\(.*\)"/\1/p}' Cargo.lock)
  need_packages valgrind:valgrind
  if [[ $(gungraun-runner --version 2>/dev/null) != *" $version" ]]; then
    say "Installing gungraun-runner $version with cargo"
    cargo install --locked --force --version "$version" gungraun-runner ||
      fail "cargo cannot install gungraun-runner $version: check the network, and what it says above"
  fi
}
