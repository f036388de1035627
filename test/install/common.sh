# Sourced by the checks of this folder, which run in bash and belong to .ci/run: `npm test` needs none of what they fetch.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/eft-llama/install
answer="Kathmandu"

# What other systems run with. Node's binaries are packages of npm's registry, one for each system.
NODE_22=22.23.5
NODE_24=24.22.3

# The folder with a package of npm's registry, which is fetched once.
unpacked() { # name@version
    local folder=$cache/${1//\//+} archive
    if [ ! -d "$folder" ]; then
        rm -rf "$folder.new" && mkdir -p "$folder.new"
        archive=$(npm pack --silent --pack-destination "$folder.new" "$1")
        tar --extract --file "$folder.new/$archive" --directory "$folder.new" --strip-components 1 --no-same-owner
        rm "$folder.new/$archive"
        mv "$folder.new" "$folder"
    fi
    echo "$folder"
}

# A copy of this clone that has nothing compiled but the addons of prebuilds/, with the same packages.
clone_without_build() { # folder
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$1"
    cp -r dist prebuilds "$1"
    ln -s "$PWD/node_modules" "$1/node_modules"
}

# Prints what a command prints, and fails unless the demo's answer is in it.
answers() { # command...
    local output
    output=$("$@") || { echo "$output" && return 1; }
    echo "$output" | tail -n 1
    [[ $output == *"$answer"* ]]
}
