/** Node that may read some folders and nothing else. */

/** Its flags. What its programs may do besides is said by more of them. */
export function permissions(...folders: readonly string[]): string[] {
    const isStable = Number(process.versions.node.split(".")[0]) >= 22;
    return [
        ...[isStable ? "--permission" : "--experimental-permission", "--no-warnings"],
        ...folders.map((folder) => `--allow-fs-read=${folder.replace(/[/\\]?$/, "/")}`),
    ];
}
