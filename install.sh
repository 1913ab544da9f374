#!/bin/sh
# Installs meshctl for one user, without root: the binary, completions for five shells, man pages.
# Everything that it puts anywhere stands in PREFIX/share/meshctl/manifest; --uninstall takes away
# exactly that. Running it twice changes nothing. It never edits a shell's files.

set -eu

usage() {
    cat <<'EOF'
Usage: ./install.sh [--prefix DIR] [--binary FILE]
       ./install.sh --uninstall [--prefix DIR]

  --prefix DIR    where to install (default: ~/.local)
  --binary FILE   install this binary instead of building one from the checkout
  --uninstall     take away what an earlier run put under the prefix
  --help          show this text
EOF
}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'help: %s\n' "$2" >&2
    exit 1
}

wrong() {
    printf 'error: %s\n' "$1" >&2
    usage >&2
    exit 2
}

# --- what to do ---------------------------------------------------------------------------------

prefix=
binary=
action=install
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --binary)
            [ -n "${2:-}" ] || wrong "\`$1\` needs a value"
            if [ "$1" = --prefix ]; then prefix=$2; else binary=$2; fi
            shift 2
            ;;
        --prefix=?*) prefix=${1#--prefix=} && shift ;;
        --binary=?*) binary=${1#--binary=} && shift ;;
        --uninstall) action=uninstall && shift ;;
        --help | -h) usage && exit 0 ;;
        *) wrong "unknown argument \`$1\`" ;;
    esac
done
[ "$action" = install ] || [ -z "$binary" ] || wrong "\`--binary\` does not go with \`--uninstall\`"

if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail "HOME is not set" "say where to install with \`--prefix DIR\`"
    prefix=$HOME/.local
fi
case $prefix in
    /*) ;;
    *) prefix=$(pwd)/$prefix ;;
esac
prefix=${prefix%/}
manifest=$prefix/share/meshctl/manifest
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# --- the manifest: `file CHECKSUM SIZE PATH` and `dir PATH`, paths under the prefix ---------------

sum_of() { cksum <"$1"; }

# While an older version is replaced a file has two lines: as it was, and as it will be.

# The paths of the files in a manifest, each once.
files_of() { sed -n 's/^file [0-9]* [0-9]* //p' "$1" | sort -u; }

# Whether the manifest knows a path.
is_recorded() { [ -f "$manifest" ] && files_of "$manifest" | grep -qxF -e "$1"; }

# Whether a file is as a line of a manifest says.
is_as_recorded() { grep -qxF -e "file $(sum_of "$prefix/$1") $1" "$2"; }

# --- taking away --------------------------------------------------------------------------------

uninstall() {
    [ -f "$manifest" ] || {
        say "nothing to uninstall: $manifest does not exist"
        return 0
    }
    kept=0
    while read -r path; do
        target=$prefix/$path
        [ -f "$target" ] || continue
        if is_as_recorded "$path" "$manifest"; then
            rm -f -- "$target"
            say "removed  $target"
        else
            say "kept     $target (it was changed since)"
            kept=1
        fi
    done <<EOF
$(files_of "$manifest")
EOF
    # Deepest first: each only where nothing else is left in it.
    directories=$(sed -n 's/^dir //p' "$manifest" | sort -r)
    rm -f -- "$manifest"
    printf '%s\n' "$directories" | while read -r path; do
        case $path in
            '') ;;
            .) rmdir -- "$prefix" 2>/dev/null || : ;;
            *) rmdir -- "$prefix/$path" 2>/dev/null || : ;;
        esac
    done
    [ "$kept" = 0 ] && say "meshctl is uninstalled from $prefix" && return 0
    say "meshctl is uninstalled from $prefix, but for the files kept above"
}

# --- building -----------------------------------------------------------------------------------

build() {
    [ -f "$checkout/Cargo.toml" ] ||
        fail "$checkout is no checkout of meshctl" "name a binary with \`--binary FILE\`"
    command -v cargo >/dev/null ||
        fail "\`cargo\` is not on PATH" "install Rust from https://rustup.rs, or name a binary with \`--binary FILE\`"
    say "building meshctl (release); the first time takes some minutes"
    (cd "$checkout" && cargo build --release --locked) || fail "the build failed"
    binary=${CARGO_TARGET_DIR:-$checkout/target}/release/meshctl
    case $binary in
        /*) ;;
        *) binary=$checkout/$binary ;;
    esac
}

# --- installing ---------------------------------------------------------------------------------

# Prints `MODE SOURCE>PATH` for all that is to be installed.
plan() {
    printf '755 %s>bin/meshctl\n' "$binary"
    from=$checkout/completions
    for pair in \
        meshctl.bash:share/bash-completion/completions/meshctl \
        _meshctl:share/zsh/site-functions/_meshctl \
        meshctl.fish:share/fish/vendor_completions.d/meshctl.fish \
        _meshctl.ps1:share/meshctl/completions/_meshctl.ps1 \
        meshctl.elv:share/meshctl/completions/meshctl.elv; do
        [ ! -f "$from/${pair%%:*}" ] || printf '644 %s>%s\n' "$from/${pair%%:*}" "${pair#*:}"
    done
    for page in "$from"/man/*.1; do
        [ ! -f "$page" ] || printf '644 %s>share/man/man1/%s\n' "$page" "${page##*/}"
    done
}

# Refuses before anything is written where a file of somebody else is in the way.
look_before() {
    while read -r line; do
        path=${line#*>}
        target=$prefix/$path
        [ ! -d "$target" ] || fail "$target is a directory"
        [ -e "$target" ] || [ -h "$target" ] || continue
        is_recorded "$path" ||
            fail "$target is already there, and this script did not put it there" \
                "move it away, or choose another \`--prefix\`"
    done <"$work/plan"
}

# Directories on the way to a path that do not exist yet, or that an earlier run made.
directories_of() {
    directory=$(dirname -- "$1")
    while [ "$directory" != . ]; do
        if [ ! -d "$prefix/$directory" ] || grep -qx "dir $directory" "$work/before"; then
            printf 'dir %s\n' "$directory"
        fi
        directory=$(dirname -- "$directory")
    done
    if [ ! -d "$prefix" ] || grep -qx 'dir \.' "$work/before"; then
        printf 'dir .\n'
    fi
}

# Writes down what will be there, and until it is, what was: whenever the run is interrupted, each
# file is as one of its lines says, and can be taken away.
write_manifest() {
    directories_of share/meshctl/manifest >"$work/directories"
    while read -r line; do
        source=${line#* }
        source=${source%%>*}
        directories_of "${line#*>}" >>"$work/directories"
        printf 'file %s %s\n' "$(sum_of "$source")" "${line#*>}"
    done <"$work/plan" >"$work/manifest"
    sort -u "$work/directories" >>"$work/manifest"
    cmp -s "$work/manifest" "$manifest" && return 0
    sort -u "$work/before" "$work/manifest" >"$work/both"
    replace_manifest "$work/both"
}

replace_manifest() {
    cmp -s "$1" "$manifest" && return 0
    mkdir -p -- "$prefix/share/meshctl"
    cp -- "$1" "$manifest.new"
    mv -f -- "$manifest.new" "$manifest"
}

# What an earlier version put there and this one does not have any more goes.
remove_obsolete() {
    files_of "$work/before" | while read -r path; do
        grep -q ">$path\$" "$work/plan" && continue
        [ -f "$prefix/$path" ] || continue
        if is_as_recorded "$path" "$work/before"; then
            rm -f -- "$prefix/$path"
            say "removed    $prefix/$path (no longer part of meshctl)"
        else
            say "kept       $prefix/$path (no longer part of meshctl, but it was changed since)"
        fi
    done
}

place() {
    changed=0
    while read -r line; do
        mode=${line%% *}
        source=${line#* }
        source=${source%%>*}
        target=$prefix/${line#*>}
        if cmp -s "$source" "$target"; then
            say "unchanged  $target"
            continue
        fi
        mkdir -p -- "$(dirname -- "$target")"
        cp -- "$source" "$target.new"
        chmod "$mode" "$target.new"
        mv -f -- "$target.new" "$target"
        say "installed  $target"
        changed=1
    done <"$work/plan"
}

say_what_is_missing() {
    case :${PATH:-}: in
        *":$prefix/bin:"*)
            first=$(command -v meshctl || :)
            [ "$first" = "$prefix/bin/meshctl" ] || [ -z "$first" ] ||
                say "note: \`meshctl\` means $first here, which comes earlier on PATH"
            ;;
        *) say "note: $prefix/bin is not on PATH; add it, or call $prefix/bin/meshctl" ;;
    esac
    [ -d "$checkout/completions" ] ||
        say "note: there are no completions beside this script; \`meshctl completions SHELL\` prints them"
}

install() {
    [ -n "$binary" ] || build
    [ -f "$binary" ] || fail "there is no file $binary"
    [ -x "$binary" ] || fail "$binary is not executable"
    case $binary in
        /*) ;;
        *) binary=$(pwd)/$binary ;;
    esac
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    : >"$work/before"
    [ ! -f "$manifest" ] || cp -- "$manifest" "$work/before"
    plan >"$work/plan"
    look_before
    write_manifest
    remove_obsolete
    place
    replace_manifest "$work/manifest"
    if [ "$changed" = 0 ]; then
        say "meshctl was installed in $prefix already; nothing changed"
    else
        say "meshctl is installed in $prefix"
    fi
    say_what_is_missing
}

"$action"
