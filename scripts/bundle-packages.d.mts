export function placePackages(root: string, omitted: readonly string[], peers?: readonly string[]): Map<string, string>;
