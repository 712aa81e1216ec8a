#!/bin/sh
# Fails when a source breaks the style that a machine can check; says where.
# Usage: .ci/check_style.sh
set -eu
cd "$(dirname "$0")/.."

failed=0
complain() {
    echo "check_style: $1" >&2
    failed=1
}

if command -v clang-format >/dev/null 2>&1; then
    git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format --dry-run --Werror ||
        complain "not as clang-format has it: make format"
else
    echo "check_style: no clang-format here, layout not checked" >&2
fi

tab=$(printf '\t')
if git grep -nE "[ $tab]+\$" -- '*.c' '*.h'; then
    complain "blanks at the end of a line"
fi
if git grep -n "$tab" -- '*.c' '*.h'; then
    complain "tabs"
fi
# Characters, not bytes.
if LC_ALL=C.UTF-8 git grep -nE '^.{101}' -- '*.c' '*.h'; then
    complain "lines over 100 columns"
fi

git ls-files '*.h' | {
    bad=0
    while IFS= read -r header; do
        [ -f "$header" ] || continue
        guard=HEARSAY_$(printf '%s' "$header" | tr 'a-z/.-' 'A-Z___')
        if [ "$(head -c 2 "$header")" != '/*' ]; then
            echo "$header: does not open with what it is for" >&2
            bad=1
        fi
        if ! grep -qx "#ifndef $guard" "$header" || ! grep -qx "#define $guard" "$header"; then
            echo "$header: its guard is not $guard" >&2
            bad=1
        fi
    done
    exit "$bad"
} || complain "headers"

if command -v shellcheck >/dev/null 2>&1; then
    git ls-files '.ci/*' 'tests/run' 'tests/demo/*' 'tests/cluster/*.sh' | {
        bad=0
        while IFS= read -r script; do
            [ -f "$script" ] || continue
            case $(head -n 1 "$script") in
            '#!'*sh) shellcheck "$script" || bad=1 ;;
            esac
        done
        exit "$bad"
    } || complain "shellcheck"
else
    echo "check_style: no shellcheck here, scripts not checked" >&2
fi

exit "$failed"
