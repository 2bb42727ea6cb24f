# Sourced by ./quickstart and ./check: install the packages that lab/packages lists, starting no service.

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

packages() { # GROUP...
    local group
    for group; do awk -v group="$group" '$1 == group { print $2 }' "$top/lab/packages"; done
}

missing_packages() { # GROUP...
    local name
    for name in $(packages "$@"); do
        case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$name" ;;
        esac
    done
}

# While this file is there, Debian's packages start no service when they are installed.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ -e $policy ] && return
    trap release_services EXIT
    printf '#!/bin/sh\n# made by poolbridge, which removes it again\nexit 101\n' |
        as_root sh -c "cat > $policy && chmod 755 $policy"
}
release_services() {
    if [ -e $policy ] && grep -q 'made by poolbridge' $policy; then as_root rm -f $policy; fi
    trap - EXIT
}

# Servers that were installed just now and for the lab alone need not start with the machine either.
disable_services() { # PACKAGE...
    local name units
    for name; do
        units=$name.service
        case $name in
        prosody | kamailio | ejabberd | nsd) ;;
        jabberd2) units="jabberd.service jabberd-router.service jabberd-sm.service jabberd-c2s.service jabberd-s2s.service" ;;
        *) continue ;;
        esac
        # shellcheck disable=SC2086
        as_root env DPKG_MAINTSCRIPT_PACKAGE="$name" deb-systemd-helper disable $units
        as_root update-rc.d "$name" disable
    done >/dev/null 2>&1 || true
}

install_packages() { # LOG GROUP...
    local log=$1 missing
    shift
    command -v apt-get >/dev/null ||
        fail "This is made for Debian 12, and apt-get is not here. Install what lab/packages lists and try again."
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "These packages are missing: $missing
Neither are you root nor is sudo here. As root: apt-get install $missing"
    fi
    say "Installing packages: $missing"
    hold_services
    # shellcheck disable=SC2086
    as_root apt-get -q update >"$log" 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing >>"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        fail "The packages could not be installed; above is what apt-get said, all of it is in $log.
Is this Debian 12, with a network or a mirror? 'apt-get update' tells."
    }
    release_services
    # shellcheck disable=SC2086
    disable_services $missing
}

# Run a command quietly; on failure show the end of its log.
quietly() { # LOG WORDS COMMAND...
    local log=$1 words=$2
    shift 2
    "$@" >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        fail "$words failed; above is the end of $log."
    }
}
