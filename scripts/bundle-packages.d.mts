export function placePackages(root: string, omitted: readonly string[]): Map<string, string>;
